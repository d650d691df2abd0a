// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "reactor/base/clock.h"

namespace reactor::prefork {

// Computes how long to wait before the next fork. One instance counts for all slots together. A
// worker that served for kQuickDeath or longer is replaced at once; the time before it was ready
// does not count. A worker that died sooner is also replaced at once, but only for `slots + 1` such
// deaths in a row. (An operator may kill all workers at the same time.) From the next death on, the
// wait starts at kFirst and doubles up to kLongest. Private to prefork.
class Backoff {
 public:
  static constexpr Duration kQuickDeath = std::chrono::seconds(1);
  static constexpr Duration kFirst = std::chrono::milliseconds(500);
  static constexpr Duration kLongest = std::chrono::seconds(5);

  explicit Backoff(unsigned slots) noexcept : free_(slots + 1) {}

  // Returns how long to wait after the death of a worker that was ready for the time `served`.
  // `served` is zero if the worker was not ready yet, or could not be forked.
  [[nodiscard]] Duration after_death(Duration served) noexcept {
    if (served >= kQuickDeath) {
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
