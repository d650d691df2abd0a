// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/loop/loop.h"

namespace reactor::http {

// The value of the Date field (RFC 9110 section 5.6.7, IMF-fixdate), formatted once per second and
// only when it is asked for: right also after a long idle time.
class DateCache {
 public:
  static constexpr std::size_t kStatus = 17;  // "HTTP/1.1 200 OK\r\n", as most answers begin,
  static constexpr std::size_t kLine = 37;    // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
  using Lines = std::array<char, kStatus + kLine>;

  // The loop outlives it.
  explicit DateCache(const Loop& loop) noexcept : loop_(loop) {}

  // Both lines, as of the loop's time; valid until the next call. The wall clock is read when the
  // cached second has passed.
  [[nodiscard]] const Lines& lines() {
    const TimePoint now = loop_.now();
    if (now >= valid_until_) [[unlikely]]
      refresh(now);
    return lines_;
  }

 private:
  void refresh(TimePoint now);

  const Loop& loop_;
  TimePoint valid_until_ = TimePoint::min();
  Lines lines_{};
};

}  // namespace reactor::http
