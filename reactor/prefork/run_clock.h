// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "reactor/base/clock.h"

namespace reactor::prefork {

// The time in which the master ran: CLOCK_MONOTONIC less the pauses in which it did not run, and so
// its workers may not have run either (SIGSTOP of the group, the cgroup freezer, a suspended
// machine). All deadlines of the master and its crew are on this clock, so a pause moves each of
// them. Private to prefork.
//
// A pause is noticed by the wait that ends late. A master that is late in every turn is on a slow
// machine: from the second time in a row its waits count, so that deadlines still come.
class RunClock {
 public:
  // While a deadline is pending the master waits no longer than this at once.
  static constexpr Duration kLongestWait = std::chrono::seconds(1);
  // A wait that ends this much later than planned was a pause.
  static constexpr Duration kLate = std::chrono::milliseconds(250);

  explicit RunClock(TimePoint start) noexcept : last_(start), now_(start) {}

  // The same for the whole of a turn. Not to be compared with monotonic_now().
  [[nodiscard]] TimePoint now() const noexcept { return now_; }

  // The next wait is at most this long.
  void plan(Duration wait) noexcept { planned_ = wait; }

  // A turn begins at `real`, by CLOCK_MONOTONIC. False: there was a pause before it.
  bool begin_turn(TimePoint real) noexcept {
    const Duration passed = real - last_;
    last_ = real;
    const bool late_before = late_;
    late_ = passed > kLate && passed - kLate > planned_;
    if (!late_) {
      now_ += passed;
    } else if (late_before) {
      now_ += planned_;
    }
    return !late_;
  }

 private:
  TimePoint last_, now_;
  Duration planned_{};
  bool late_ = false;
};

}  // namespace reactor::prefork
