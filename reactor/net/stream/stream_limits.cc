// SPDX-License-Identifier: MIT
// This file has the limits of a Stream in time and in bytes a second. The Stream's one timer node
// serves them all. Most Streams have only one limit at a time: its due time is the node's deadline.
// A Stream with Extras keeps the due times in Deadlines, and the node is armed for the earliest. If
// the earliest due time moves to a later one, the node is not armed again: it expires, and
// on_expire() arms it for the next due time.
#include <algorithm>

#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

// ---- The main limit: of the opening, set_deadline(), of writing, or of idleness ----

void Stream::set_idle_timeout(Duration timeout) noexcept {
  constexpr Duration kLongest = std::chrono::hours(24 * 24);
  const auto rounded =
      std::chrono::ceil<std::chrono::milliseconds>(std::clamp(timeout, Duration::zero(), kLongest));
  idle_ms_ = static_cast<std::uint32_t>(rounded.count());
  if (has(kClosing)) return;
  clear(kFixedDeadline);
  arm_timer();
}

void Stream::set_deadline(TimePoint deadline) noexcept {
  if (has(kClosing) || !has(kStarted)) return;
  set(kFixedDeadline);
  set_main_due(std::max(deadline, TimePoint{}));  // an earlier one would look like a pending call
}

Duration Stream::time_left() const noexcept {
  const TimePoint now = loop().start_time();
  TimePoint due = armed() ? deadline() : Deadlines::kNever;
  if (has(kExtras)) due = extras_->deadlines.main();
  return due == Deadlines::kNever ? kForever : std::max(due, now) - now;
}

// Starts the write timeout if something is queued, and otherwise the idle timeout. The write
// timeout does not run if set_write_timeout() has replaced it, and neither runs while a deadline of
// set_deadline() is set.
void Stream::arm_timer() noexcept {
  if (!has(kStarted) || has(kFixedDeadline)) return;
  Duration timeout = std::chrono::milliseconds(idle_ms_);
  if (has(kQueued)) {
    const bool replaced = has(kExtras) && extras_->deadlines.has_write_timeout();
    timeout = replaced ? Duration::zero() : options_->write_timeout;
  }
  set_main_due(timeout > Duration::zero() ? saturating_add(loop().start_time(), timeout)
                                          : Deadlines::kNever);
}

// Restarts the idle timeout, because bytes were moved.
void Stream::touch(TimePoint now) noexcept {
  if (call_waits()) return;  // the deadline marks the pending call, and must not change
  touch_plainly(now);
  if (!has(kExtras) || idle_ms_ == 0 || has(kFixedDeadline | kQueued)) return;
  extras_->deadlines.postpone_main(now + std::chrono::milliseconds(idle_ms_));
}

void Stream::set_main_due(TimePoint due) noexcept {
  if (has(kExtras)) {
    extras_->deadlines.set_main(due);
    if (call_waits()) loop().disarm(*this);  // `due` replaces call_soon()
    arm_for_next();
  } else if (due == Deadlines::kNever) {
    loop().disarm(*this);
  } else {
    loop().arm(*this, due);
  }
}

void Stream::main_limit_passed() {
  // This is the open limit or the write timeout.
  if (!has(kStarted) || (has(kQueued) && !has(kFixedDeadline))) {
    if (opening()) report_failure(Errc::timed_out);
    fail(Errc::timed_out);
    finish();
    return;
  }
  // This is the idle timeout or set_deadline().
  clear(kFixedDeadline);
  arm_timer();  // first, in case the handler throws
  call([this] { handler_->on_timeout(*this); });
}

// ---- All limits ----

void Stream::on_expire() {
  using Limit = Deadlines::Limit;
  switch (has(kExtras) ? extras_->deadlines.take_passed(loop().now()) : Limit::main) {
    case Limit::main:
      main_limit_passed();
      return;
    case Limit::total:
    case Limit::writing:
      fail(Errc::timed_out);
      return;
    case Limit::reading:
      if (call([this] { handler_->on_timeout(*this); }) == Alive::no) return;
      break;
    case Limit::none:  // a rate allows bytes again, or a limit has moved to a later time
      break;
  }
  move_waiting();
}

// Moves the bytes that had to wait because of a rate. Does not wait for an event of the poller, so
// the poller's interest need not change.
void Stream::move_waiting() {
  Extras& extras = *extras_;
  if (extras.write_waits && has(kQueued) && flush_queue() == Alive::no) return;
  if (extras.read_waits && attached() && !has(kNoRead) && read_turn() == Alive::no) return;
  update_interest();
}

void Stream::set_read_timeout(Duration timeout) {
  extras().deadlines.set_read_timeout(timeout);
  update_interest();
}

void Stream::set_write_timeout(Duration timeout) {
  extras().deadlines.set_write_timeout(timeout);
  if (!has(kClosing)) arm_timer();
  update_interest();
}

void Stream::set_total_deadline(TimePoint deadline) {
  extras().deadlines.set_total(deadline);
  update_interest();
}

void Stream::set_read_rate(std::uint64_t bytes_per_second) {
  extras().wire.set_read_rate(bytes_per_second, loop().start_time());
  update_interest();
}

void Stream::set_write_rate(std::uint64_t bytes_per_second) {
  extras().wire.set_write_rate(bytes_per_second, loop().start_time());
  update_interest();
}

// Starts and ends the waits of Deadlines and of the rates. Called after each change that may do so.
void Stream::watch_times() {
  Extras& extras = *extras_;
  if (has(kClosed)) return;
  const TimePoint now = loop().start_time();
  const bool reads = attached() && !extras.opening && !has(kNoRead);
  const bool writes = has(kQueued) && !before_opening();
  extras.read_waits = reads && extras.wire.may_read(now) == 0;
  extras.write_waits = writes && extras.wire.may_write(now) == 0;
  extras.deadlines.watch_reading(reads && !extras.read_waits, now);
  extras.deadlines.watch_writing(writes && !extras.write_waits, now);
  arm_for_next();
}

// Arms the timer node for the next due time. Does nothing while a call by call_soon() waits,
// because the timer would replace that call. on_call() arms the timer afterwards, unless it ends
// the Stream.
void Stream::arm_for_next() {
  const Extras& extras = *extras_;
  if (has(kClosed) || call_waits()) return;
  TimePoint soonest = extras.deadlines.next_due();
  if (extras.read_waits) soonest = std::min(soonest, extras.wire.may_read_at());
  if (extras.write_waits) soonest = std::min(soonest, extras.wire.may_write_at());
  if (soonest == Deadlines::kNever || (armed() && deadline() <= soonest)) return;
  loop().arm(*this, soonest);
}

}  // namespace reactor
