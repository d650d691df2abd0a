// SPDX-License-Identifier: MIT
#include "reactor/loop/handle.h"

#include <sys/wait.h>

#include "reactor/base/error.h"
#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"

namespace reactor {
namespace {

void destroy(HandleSlot* slot) noexcept {
  if (slot == nullptr) return;
  if (slot->core != nullptr) {
    slot->core->release(*slot);
  } else {
    delete slot;
  }
}

// An active handle is counted by its `keeps`, so it is uncounted before the change and counted
// again after it. The registry counts IoSlots, and nothing counts DeferredSlots.
void set_keeps(HandleSlot* slot, bool keeps) noexcept {
  if (slot == nullptr || slot->core == nullptr || slot->keeps == keeps) return;
  const bool counted = slot->active() && dynamic_cast<IoSlot*>(slot) == nullptr &&
                       dynamic_cast<DeferredSlot*>(slot) == nullptr;
  if (counted) slot->core->keep(*slot, false);
  slot->keeps = keeps;
  if (counted) slot->core->keep(*slot, true);
  slot->keeping_changed();
}

}  // namespace

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this != &other) destroy(std::exchange(slot_, std::exchange(other.slot_, nullptr)));
  return *this;
}

Handle::~Handle() { destroy(slot_); }

void Handle::ref() noexcept { set_keeps(slot_, true); }
void Handle::unref() noexcept { set_keeps(slot_, false); }

IoWatcher::IoWatcher(IoSlot* slot) noexcept : Handle(slot) {}

Result<> IoWatcher::set(Interest interest) {
  auto& slot = static_cast<IoSlot&>(*slot_);
  if (slot.core == nullptr) return Errc::handle_dead;
  if (!slot.core->in_own_process()) return Errc::wrong_process;
  return slot.core->registry.set_interest(slot, interest);
}

Interest IoWatcher::interest() const noexcept {
  const auto& slot = static_cast<const IoSlot&>(*slot_);
  return slot.active() ? slot.core->registry.interest(slot) : Interest::none;
}

void IoWatcher::stop() noexcept { slot_->stop(); }
bool IoWatcher::active() const noexcept { return slot_->active(); }
int IoWatcher::fd() const noexcept { return static_cast<const IoSlot&>(*slot_).fd(); }

Timer::Timer(TimerSlot* slot) noexcept : Handle(slot) {}

void Timer::start(Duration delay) noexcept { static_cast<TimerSlot&>(*slot_).start(delay); }
void Timer::start_every(Duration period) noexcept {
  static_cast<TimerSlot&>(*slot_).start_every(period);
}
void Timer::stop() noexcept { static_cast<TimerSlot&>(*slot_).stop(); }
bool Timer::active() const noexcept { return static_cast<const TimerSlot&>(*slot_).active(); }

SignalWatcher::SignalWatcher(SignalSlot* slot) noexcept : Handle(slot) {}
void SignalWatcher::stop() noexcept { slot_->stop(); }
bool SignalWatcher::active() const noexcept { return slot_->active(); }

ChildWatcher::ChildWatcher(ChildSlot* slot) noexcept : Handle(slot) {}
void ChildWatcher::stop() noexcept { slot_->stop(); }
bool ChildWatcher::active() const noexcept { return slot_->active(); }

Deferred::Deferred(DeferredSlot* slot) noexcept : Handle(slot) {}
void Deferred::schedule() noexcept { static_cast<DeferredSlot&>(*slot_).schedule(); }
void Deferred::stop() noexcept { slot_->stop(); }
bool Deferred::active() const noexcept { return slot_->active(); }

bool ExitStatus::exited() const noexcept { return !error_ && WIFEXITED(status_); }
int ExitStatus::code() const noexcept { return exited() ? WEXITSTATUS(status_) : -1; }
bool ExitStatus::signaled() const noexcept { return !error_ && WIFSIGNALED(status_); }
int ExitStatus::signal() const noexcept { return signaled() ? WTERMSIG(status_) : 0; }

}  // namespace reactor
