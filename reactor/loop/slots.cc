// SPDX-License-Identifier: MIT
#include "reactor/loop/slots.h"

#include "reactor/loop/core.h"

namespace reactor {

HandleSlot::HandleSlot(Core& owner, SourceLocation made_at)
    : core(&owner), created(owner.now), where(made_at) {}

void IoSlot::on_ready(Ready ready) { core->call(*this, callback, ready); }

void IoSlot::stop() noexcept {
  if (core != nullptr) core->registry.detach(*this, Detach::staying);
}

bool IoSlot::active() const noexcept { return core != nullptr && core->registry.alive(*this); }

void IoSlot::keeping_changed() noexcept { core->registry.set_background(*this, !keeps); }

void TimerSlot::start(Duration delay, Duration every) noexcept {
  if (core == nullptr) return;
  if (armed()) {
    core->timers.disarm(*this);
  } else {
    core->keep(*this, true);
  }
  period = every;
  // A deadline that has passed already goes into the next round, whatever the tick.
  const bool at_once = delay <= Duration::zero();
  core->timers.arm(*this, at_once ? TimePoint{} : saturating_add(core->start_time(), delay));
}

void TimerSlot::on_expire() {
  if (period > Duration::zero()) {
    const Duration missed = (core->now - deadline()) / period * period;
    core->timers.arm(*this, saturating_add(deadline() + missed, period));
  } else {
    core->keep(*this, false);
  }
  core->call(*this, callback);
}

void TimerSlot::stop() noexcept {
  if (core == nullptr || !armed()) return;
  core->timers.disarm(*this);
  core->keep(*this, false);
}

void SignalSlot::stop() noexcept {
  if (core == nullptr || !watching) return;
  core->signals.remove(*this);
  core->keep(*this, false);
}

// The pidfd says that it ended, or the filter does; the children phase waits for it.
void ChildSlot::on_ready(Ready) { core->children.mark_due(*this); }

void ChildSlot::stop() noexcept {
  if (core == nullptr || !watching) return;
  core->children.remove(*this);
  core->keep(*this, false);
}

void DeferredSlot::schedule() noexcept {
  if (core == nullptr || linked()) return;
  core->scheduled.append(*this);
}

void DeferredSlot::stop() noexcept { unlink(); }

}  // namespace reactor
