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
  static constexpr std::size_t kLength = 29;  // "Sun, 06 Nov 1994 08:49:37 GMT"

  // `now` is the loop's; the wall clock is read when the cached second has passed. The view lasts
  // until the next call.
  [[nodiscard]] std::string_view at(TimePoint now) {
    if (now >= valid_until_) refresh(now);
    return {text_.data(), kLength};
  }

 private:
  void refresh(TimePoint now);

  TimePoint valid_until_ = TimePoint::min();
  std::array<char, kLength + 1> text_{};
};

}  // namespace reactor::http
