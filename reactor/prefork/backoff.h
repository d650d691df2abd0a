// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "reactor/base/clock.h"

namespace reactor::prefork {

// How long to wait before the next fork, for all slots together. A worker that lived for a while is
// replaced at once. So are as many young ones in a row as there are slots, and one more: all of
// them may be killed in one go. From there on the wait doubles, up to 5 s. Private to prefork.
class Backoff {
 public:
  static constexpr Duration kQuickDeath = std::chrono::seconds(1);
  static constexpr Duration kFirst = std::chrono::milliseconds(500);
  static constexpr Duration kLongest = std::chrono::seconds(5);

  explicit Backoff(unsigned slots) noexcept : free_(slots + 1) {}

  // A worker that lived this long is dead, or could not be forked (zero).
  [[nodiscard]] Duration after_death(Duration lived) noexcept {
    if (lived >= kQuickDeath) {
      quick_deaths_ = 0;
      return Duration::zero();
    }
    if (++quick_deaths_ <= free_) return Duration::zero();
    const unsigned doublings = std::min(quick_deaths_ - free_ - 1, 10U);
    return std::min(kLongest, kFirst * (1 << doublings));
  }

 private:
  const unsigned free_;
  unsigned quick_deaths_ = 0;  // in a row
};

}  // namespace reactor::prefork
