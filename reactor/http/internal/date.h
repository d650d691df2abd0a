// SPDX-License-Identifier: MIT
// DateCache has the first lines of most responses. Private to http/.
#pragma once

#include <array>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/loop/loop.h"

namespace reactor::http {

// DateCache caches the status line of a 200 and the Date line (RFC 9110 section 5.6.7,
// IMF-fixdate). It formats them at most once per second, and only on demand, so they are correct
// even after a long idle time.
class DateCache {
 public:
  static constexpr std::size_t kStatus = 17;  // "HTTP/1.1 200 OK\r\n", the start of most responses
  static constexpr std::size_t kLine = 37;    // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
  using Lines = std::array<char, kStatus + kLine>;

  // The loop must outlive the cache.
  explicit DateCache(const Loop& loop) noexcept : loop_(loop) {}

  // Returns both lines, one after the other, for the loop's time. They are valid until the next
  // call. The wall clock is read when the cached second has passed.
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
