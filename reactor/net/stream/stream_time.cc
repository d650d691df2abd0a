// SPDX-License-Identifier: MIT
// The timeouts of a Stream that need no Extras. The Stream's one timer node serves them all: the
// idle timeout, the write timeout, set_deadline(), and Transport::open_limit().
#include <algorithm>

#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

void Stream::on_expire() {
  // This is the open limit or the write timeout. What follows is on_timeout(), for the idle timeout
  // or the deadline.
  if (!has(kStarted) || (has(kQueued) && !has(kFixedDeadline))) {
    if (opening()) report_failure(Errc::timed_out);
    fail(Errc::timed_out);
    finish();
    return;
  }
  clear(kFixedDeadline);
  arm_timer();  // first, in case the handler throws
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
