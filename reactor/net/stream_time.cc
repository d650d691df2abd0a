// SPDX-License-Identifier: MIT
// The time-outs of a Stream. One node serves the idle time-out, the deadline, the write time-out,
// and the end or the beginning that is near.
#include <algorithm>

#include "reactor/net/stream_inside.h"

namespace reactor {

void Stream::on_expire() {
  if (can_finish()) {
    finish();
    return;
  }
  if (has(kClosed)) {  // detach()
    owner_->on_stream_closed(*this);
    return;
  }
  if (!has(kStarted) && !opening()) {
    begin(true);
    return;
  }
  if (!has(kStarted) || (has(kQueued) && !has(kFixedDeadline))) {
    if (opening()) report_failure(Errc::timed_out);
    fail(Errc::timed_out);
    finish();
    return;
  }
  clear(kFixedDeadline);
  arm_timer();  // for the next time, even if the handler throws
  call([this] { handler_->on_timeout(*this); });
}

void Stream::arm_timer() noexcept {
  if (!has(kStarted) || has(kFixedDeadline)) return;
  Duration timeout = std::chrono::milliseconds(idle_ms_);
  if (has(kQueued))
    timeout = has(kExtras) ? extras_->write_timeout(*options_) : options_->write_timeout;
  if (timeout > Duration::zero()) {
    loop().arm(*this, saturating_add(loop().start_time(), timeout));
  } else {
    loop().disarm(*this);
  }
}

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
  loop().arm(*this, deadline);
}

}  // namespace reactor
