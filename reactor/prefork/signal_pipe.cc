// SPDX-License-Identifier: MIT
#include "reactor/prefork/signal_pipe.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "reactor/base/descriptors.h"
#include "reactor/base/error.h"

namespace reactor::prefork {
namespace {

constexpr std::array<int, 9> kSignals = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP, SIGUSR1,
                                         SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};

std::atomic<int> g_write_end{-1};
std::array<struct sigaction, kSignals.size()> g_previous;

extern "C" void reactor_prefork_handler(int number) {
  const int saved_errno = errno;
  const auto octet = static_cast<unsigned char>(number);
  // A full pipe holds this signal already, or others that wake the master as well.
  [[maybe_unused]] const auto written = ::write(g_write_end.load(), &octet, 1);
  errno = saved_errno;
}

}  // namespace

std::error_code SignalPipe::open() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return last_system_error();
  read_end_.reset(ends[0]);
  write_end_.reset(ends[1]);
  for (const int fd : ends) {
    if (!make_private(fd)) return last_system_error();
  }
  g_write_end.store(ends[1]);
  ::sigprocmask(SIG_SETMASK, nullptr, &before_);
  struct sigaction action {};
  action.sa_handler = &reactor_prefork_handler;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (::sigaction(kSignals[i], &action, &g_previous[i]) != 0) return last_system_error();
  }
  unblock();
  return {};
}

sigset_t SignalPipe::signals() noexcept {
  sigset_t ours;
  sigemptyset(&ours);
  for (const int number : kSignals) sigaddset(&ours, number);
  return ours;
}

void SignalPipe::block() noexcept {
  const sigset_t ours = signals();
  ::sigprocmask(SIG_BLOCK, &ours, nullptr);
}

void SignalPipe::unblock() noexcept {
  const sigset_t ours = signals();
  ::sigprocmask(SIG_UNBLOCK, &ours, nullptr);
}

SignalPipe::~SignalPipe() {
  if (!write_end_) return;
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], &g_previous[i], nullptr);
  }
  g_write_end.store(-1);
}

int SignalPipe::next() noexcept {
  unsigned char octet = 0;
  return ::read(read_end_.get(), &octet, 1) == 1 ? octet : 0;
}

void SignalPipe::restore_defaults() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (const int number : kSignals) ::sigaction(number, &action, nullptr);
}

void SignalPipe::abandon_in_worker() noexcept {
  restore_defaults();
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  for (const int number : {SIGINT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU}) {
    ::sigaction(number, &action, nullptr);
  }
  read_end_.reset();
  write_end_.reset();
}

}  // namespace reactor::prefork
