// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "reactor/base/clock.h"

namespace reactor::prefork {

// How long to wait before the next fork, for all slots together. A worker that lived for a while is
// replaced at once, and so are the first few that did not; then the wait doubles, up to 5 s.
// Private to prefork.
class Backoff {
 public:
  static constexpr Duration kQuickDeath = std::chrono::seconds(1);
  static constexpr Duration kFirst = std::chrono::milliseconds(200);
  static constexpr Duration kLongest = std::chrono::seconds(5);
  static constexpr int kFree = 2;

  // A worker that lived this long is dead, or could not be forked (zero).
  [[nodiscard]] Duration after_death(Duration lived) noexcept {
    if (lived >= kQuickDeath) {
      quick_deaths_ = 0;
      return Duration::zero();
    }
    const int over = ++quick_deaths_ - kFree;
    if (over <= 0) return Duration::zero();
    return std::min(kLongest, kFirst * (1 << std::min(over - 1, 10)));
  }

 private:
  int quick_deaths_ = 0;  // in a row
};

}  // namespace reactor::prefork
