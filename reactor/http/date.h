// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <string_view>

#include "reactor/base/clock.h"

namespace reactor::http {

// The value of the Date field (RFC 9110 section 5.6.7, IMF-fixdate), formatted once per second and
// only when it is asked for: right also after a long idle time.
class DateCache {
 public:
  static constexpr std::size_t kStatus = 17;  // "HTTP/1.1 200 OK\r\n", as most answers begin,
  static constexpr std::size_t kLine = 37;    // "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
  using Lines = std::array<char, kStatus + kLine>;

  // Both lines. `now` is the loop's; the wall clock is read when the cached second has passed. They
  // last until the next call.
  [[nodiscard]] const Lines& at(TimePoint now) {
    if (now >= valid_until_) [[unlikely]]
      refresh(now);
    return lines_;
  }

 private:
  void refresh(TimePoint now);

  TimePoint valid_until_ = TimePoint::min();
  Lines lines_{};
};

}  // namespace reactor::http
