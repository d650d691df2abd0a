// SPDX-License-Identifier: MIT
#include "reactor/coro/sleep.h"

namespace reactor::coro {

void Alarm::start(Loop& loop, TimePoint deadline) noexcept {
  loop_ = &loop;
  loop.hold();
  loop.arm(*this, deadline);
}

void Alarm::stop() noexcept {
  if (loop_ == nullptr) return;
  loop_->disarm(*this);
  loop_->release();
  loop_ = nullptr;
}

void Alarm::on_expire() {
  loop_->release();
  loop_ = nullptr;
  on_alarm();
}

HandleInfo Alarm::describe() const noexcept { return {"coroutine", -1, {}, where_}; }

void Sleep::begin() noexcept {
  Loop& loop = context().loop;
  // If the delay is zero or less, the deadline stays in the past, so that the alarm does not wait
  // for the next tick.
  if (delay_ > Duration::zero()) deadline_ = saturating_add(loop.start_time(), delay_);
  start(loop, deadline_);
}

}  // namespace reactor::coro
