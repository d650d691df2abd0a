// SPDX-License-Identifier: MIT
// SignalPipe: the handler writes the number of the signal into the pipe. If the pipe is full, it
// sets a bit in g_unwritten instead, so that no signal is lost.
#include "reactor/prefork/internal/system/signal_pipe.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"

namespace reactor::prefork {
namespace {

constexpr std::array<int, 9> kSignals = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP, SIGUSR1,
                                         SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};

std::atomic<int> g_write_end{-1};
// Has a bit for each signal number that the pipe did not take.
std::atomic<std::uint64_t> g_unwritten{0};
std::array<struct sigaction, kSignals.size()> g_previous;

extern "C" void reactor_prefork_handler(int number) {
  const int saved_errno = errno;
  const auto byte = static_cast<unsigned char>(number);
  // A full pipe wakes the master anyway. After any other failure poll(2) fails with EINTR.
  if (::write(g_write_end.load(), &byte, 1) != 1) {
    g_unwritten.fetch_or(std::uint64_t{1} << static_cast<unsigned>(number));
  }
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
  g_unwritten.store(0);
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
  unsigned char byte = 0;
  if (::read(read_end_.get(), &byte, 1) == 1) return byte;
  const std::uint64_t unwritten = g_unwritten.load();
  if (unwritten == 0) return 0;
  const int number = std::countr_zero(unwritten);
  g_unwritten.fetch_and(~(std::uint64_t{1} << static_cast<unsigned>(number)));
  return number;
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
