// SPDX-License-Identifier: MIT
// The limits of a Stream in time and in bytes a second. One timer serves them all. It is set to the
// earliest limit. If that limit moves to a later time the timer is not set again: it fires and
// watch_times() then sets it for the next one.
#include <algorithm>

#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

// Returns the extras with their timer. The timer is made before a limit is set, because
// watch_times() must not throw.
Stream::Extras& Stream::timed_extras() {
  Extras& extras = this->extras();
  if (!extras.timer) {
    extras.timer = loop().timer([this] { on_times(); }, context_->place(place_));
    extras.timer.unref();  // the Stream itself keeps the loop running while it is attached
  }
  return extras;
}

void Stream::set_read_timeout(Duration timeout) {
  Extras& extras = timed_extras();
  extras.reading = {timeout};
  update_interest();
}

void Stream::set_write_timeout(Duration timeout) {
  Extras& extras = timed_extras();
  extras.writing = {timeout};
  if (!has(kClosing)) arm_timer();
  update_interest();
}

void Stream::set_total_deadline(TimePoint deadline) {
  timed_extras().total_due = deadline;
  update_interest();
}

void Stream::set_read_rate(std::uint64_t octets) {
  timed_extras().read_rate.set(octets, loop().start_time());
  update_interest();
}

void Stream::set_write_rate(std::uint64_t octets) {
  timed_extras().write_rate.set(octets, loop().start_time());
  update_interest();
}

// Sets the timer for the earliest limit. Called after each change that may start or stop a wait.
void Stream::watch_times() {
  Extras& extras = *extras_;
  if (has(kClosed)) return;
  const TimePoint now = loop().start_time();
  const bool reads = attached() && !extras.opening && !has(kNoRead);
  const bool writes = has(kQueued) && !before_opening();
  extras.read_waits = reads && extras.read_rate.allowance(now) == 0;
  extras.write_waits = writes && extras.write_rate.allowance(now) == 0;
  extras.reading.watch(reads && !extras.read_waits, now);
  extras.writing.watch(writes && !extras.write_waits, now);
  TimePoint soonest = std::min({extras.reading.due, extras.writing.due, extras.total_due});
  if (extras.read_waits) soonest = std::min(soonest, extras.read_rate.ready_at());
  if (extras.write_waits) soonest = std::min(soonest, extras.write_rate.ready_at());
  if (soonest >= extras.timer_at) return;
  extras.timer_at = soonest;
  extras.timer.start(std::max(soonest, now) - now);
}

void Stream::on_times() {
  Extras& extras = *extras_;
  extras.timer_at = Extras::kNever;
  const TimePoint now = loop().now();
  if (std::min(extras.total_due, extras.writing.due) <= now) {
    fail(Errc::timed_out);
    return;
  }
  if (extras.reading.due <= now) {
    extras.reading.moved();
    if (call([this] { handler_->on_timeout(*this); }) == Alive::no) return;
  }
  // Moves bytes at once, not by way of the poller, so that the poller's interest need not change.
  if (extras.write_waits && has(kQueued) && flush_queue() == Alive::no) return;
  if (extras.read_waits && attached() && !has(kNoRead) && read_slowly() == Alive::no) return;
  update_interest();
}

}  // namespace reactor
