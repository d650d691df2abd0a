// SPDX-License-Identifier: MIT
#include "reactor/loop/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "reactor/base/error.h"
#include "reactor/base/process.h"
#include "reactor/loop/core.h"
#include "reactor/loop/slots.h"

namespace reactor {
namespace {

// What the handler may touch: one per signal number, for the whole process.
struct Delivery {
  std::atomic<bool> came{false};
  std::atomic<int> pipe{-1};                 // write end; -1 while nobody watches
  std::atomic<std::uint32_t> generation{0};  // of the process that watches
  Signals* owner = nullptr;
  struct sigaction previous {};
};

std::array<Delivery, NSIG> g_deliveries;

static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void reactor_signal_handler(int number) {
  Delivery& delivery = g_deliveries[static_cast<std::size_t>(number)];
  if (delivery.generation.load() != process_generation()) return;  // inherited over fork (G9)
  const int saved_errno = errno;
  delivery.came.store(true);
  const char octet = 0;
  // A full pipe is a wake-up that is on its way already.
  [[maybe_unused]] const auto written = ::write(delivery.pipe.load(), &octet, 1);
  errno = saved_errno;
}

std::error_code make_private(int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
    return last_system_error();
  }
  return {};
}

Delivery& delivery_of(int number) { return g_deliveries[static_cast<std::size_t>(number)]; }

}  // namespace

Signals::~Signals() {
  for (std::size_t number = 1; number < g_deliveries.size(); ++number) {
    if (g_deliveries[number].owner == this) give_back(static_cast<int>(number));
  }
}

std::error_code Signals::open_pipe() {
  if (attached()) return {};
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return last_system_error();
  read_end_.reset(ends[0]);
  write_end_.reset(ends[1]);
  for (const int fd : ends) {
    if (const std::error_code error = make_private(fd)) return error;
  }
  set_fd(read_end_.get());
  return core_.registry.attach(*this, Interest::read, true, Trigger::level);
}

std::error_code Signals::take_over(int number) {
  Delivery& delivery = delivery_of(number);
  delivery.came.store(false);  // what a parent has not heard yet is the parent's
  delivery.pipe.store(write_end_.get());
  delivery.generation.store(process_generation());
  struct sigaction action {};
  action.sa_handler = &reactor_signal_handler;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);  // a macro on macOS
  struct sigaction previous {};
  if (::sigaction(number, &action, &previous) != 0) return last_system_error();
  if (delivery.owner == nullptr) delivery.previous = previous;
  delivery.owner = this;
  return {};
}

void Signals::give_back(int number) noexcept {
  Delivery& delivery = delivery_of(number);
  // A child that did not take the loop over has its own dispositions: they stay as they are.
  if (delivery.generation.load() == process_generation()) {
    ::sigaction(number, &delivery.previous, nullptr);
  }
  delivery.owner = nullptr;
  delivery.pipe.store(-1);
  delivery.came.store(false);
}

std::error_code Signals::add(SignalSlot& slot) {
  if (slot.number < 1 || slot.number >= NSIG) return system_error(EINVAL);
  Delivery& delivery = delivery_of(slot.number);
  // A loop of the parent's holds nothing here; what was there before it comes back at the end.
  const bool inherited = delivery.generation.load() != process_generation();
  if (delivery.owner != nullptr && delivery.owner != this && !inherited) return Errc::signal_taken;
  if (const std::error_code error = open_pipe()) return error;
  slots_.reserve(slots_.size() + 1);
  if (delivery.owner != this) {
    if (const std::error_code error = take_over(slot.number)) return error;
  }
  slots_.push_back(&slot);
  slot.watching = true;
  return {};
}

void Signals::remove(SignalSlot& slot) noexcept {
  if (!slot.watching) return;
  slot.watching = false;
  if (slot.due) --due_;
  slot.due = false;
  std::erase(slots_, &slot);
  const bool last = std::none_of(slots_.begin(), slots_.end(), [&](const SignalSlot* other) {
    return other->number == slot.number;
  });
  if (last && delivery_of(slot.number).owner == this) give_back(slot.number);
}

void Signals::on_ready(Ready) {
  std::array<char, 256> sink;
  while (::read(read_end_.get(), sink.data(), sink.size()) == static_cast<ssize_t>(sink.size())) {
  }
  core_.stats->wakeups.add();
  for (std::size_t number = 1; number < g_deliveries.size(); ++number) {
    Delivery& delivery = g_deliveries[number];
    if (delivery.owner != this || !delivery.came.exchange(false)) continue;
    for (SignalSlot* slot : slots_) {
      if (slot->number != static_cast<int>(number) || slot->due) continue;
      slot->due = true;
      ++due_;
    }
  }
}

// A callback may add and remove watchers, so each step looks for the next one anew.
void Signals::dispatch() {
  while (due_ > 0) {
    const auto slot = std::find_if(slots_.begin(), slots_.end(),
                                   [](const SignalSlot* candidate) { return candidate->due; });
    (*slot)->due = false;
    --due_;
    core_.stats->signals.add();
    core_.slow.enter(**slot);
    core_.call(**slot, (*slot)->callback);
  }
}

std::error_code Signals::reopen() {
  if (slots_.empty() && !attached()) return {};
  core_.registry.detach(*this, Detach::staying);
  if (const std::error_code error = open_pipe()) return error;
  for (std::size_t number = 1; number < g_deliveries.size(); ++number) {
    Delivery& delivery = g_deliveries[number];
    if (delivery.owner != this) continue;
    if (const std::error_code error = take_over(static_cast<int>(number))) return error;
  }
  for (SignalSlot* slot : slots_) slot->due = false;
  due_ = 0;
  return {};
}

HandleInfo Signals::describe() const noexcept { return {"signal pipe", fd(), {}, {}}; }

void reset_signals() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  // SIGKILL, SIGSTOP and those that the C library keeps to itself refuse.
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace reactor
