// SPDX-License-Identifier: MIT
// Each kind of handle says here how it starts and stops. The callable of a handle lives in its
// state, so it outlives a handle that is destroyed inside its own callback (Core::call() and
// release()).
#include "reactor/loop/internal/handle_state.h"

#include <algorithm>

#include "reactor/loop/internal/core.h"

namespace reactor {

HandleState::HandleState(Core& owner, SourceLocation made_at)
    : core(&owner), line(made_at.line()), created(owner.now), file(made_at.file_name()) {}

void IoState::on_ready(Ready ready) {
  if (core->registry.confirms(*this)) core->call(*this, callback, ready);
}

void IoState::stop() noexcept {
  if (core != nullptr) core->registry.detach(*this, Detach::staying);
}

bool IoState::active() const noexcept { return core != nullptr && core->registry.alive(*this); }

void IoState::keeping_changed() noexcept { core->registry.set_background(*this, !keeps); }

TimerState::~TimerState() {
  if (core != nullptr) core->timers.disarm(*this);
  unlink();  // if the loop is ending, `core` is null but the wheel still exists
}

// A delay of zero or less becomes a deadline far in the past. The timer then fires in the next
// timer phase instead of at the end of the current tick.
void TimerState::start(Duration delay) noexcept {
  if (core == nullptr) return;
  repeats = false;
  start_at(delay > Duration::zero() ? saturating_add(core->start_time(), delay) : TimePoint{});
}

void TimerState::start_every(Duration every) noexcept {
  if (core == nullptr) return;
  repeats = true;
  period = std::max(every, Duration(1));
  start_at(saturating_add(core->start_time(), period));
}

void TimerState::start_at(TimePoint deadline) noexcept {
  if (!active() && keeps) core->count_keeping(true);
  started = core->timers.next_order();
  if (armed()) {
    core->timers.postpone(*this, deadline);
  } else {
    core->timers.arm(*this, deadline);
  }
}

void TimerState::on_expire() {
  if (repeats) {
    const Duration missed = (core->now - deadline()) / period * period;
    started = core->timers.next_order();
    core->timers.arm(*this, saturating_add(deadline() + missed, period));
  } else {
    started = kStopped;
    if (keeps) core->count_keeping(false);
  }
  core->call(*this, callback);
}

void TimerState::stop() noexcept {
  if (core == nullptr || !active()) return;
  started = kStopped;
  core->timers.disarm_lazily(*this);
  if (keeps) core->count_keeping(false);
}

void SignalState::stop() noexcept {
  if (core == nullptr || !watching) return;
  core->signals.remove(*this);
  core->keep(*this, false);
}

// The pidfd or the process filter says that the child has ended. The children phase calls
// waitpid(2).
void ChildState::on_ready(Ready) { core->children.mark_due(*this); }

void ChildState::stop() noexcept {
  if (core == nullptr || !watching) return;
  core->children.remove(*this);
  core->keep(*this, false);
}

void DeferredState::schedule() noexcept {
  if (core == nullptr || linked()) return;
  core->scheduled.append(*this);
}

void DeferredState::stop() noexcept { unlink(); }

}  // namespace reactor
