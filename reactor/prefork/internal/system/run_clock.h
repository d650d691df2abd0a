// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>

#include "reactor/base/clock.h"

namespace reactor::prefork {

// RunClock measures the time during which the master ran: CLOCK_MONOTONIC without the pauses in
// which the master did not run. During such a pause the workers may not have run either (SIGSTOP of
// the group, the cgroup freezer, a suspended machine). All deadlines of the master and its crew use
// this clock, so that a pause postpones each of them. Private to prefork.
//
// The clock detects a pause by a wait that ends late. A master that is late in every turn was not
// paused; its machine is slow. So from the second late turn in a row on, the clock advances by the
// planned waits, so that deadlines still expire.
class RunClock {
 public:
  // While a deadline is pending, a single wait of the master is at most this long.
  static constexpr Duration kLongestWait = std::chrono::seconds(1);
  // A wait that ends later than planned by more than this was a pause.
  static constexpr Duration kLate = std::chrono::milliseconds(250);

  explicit RunClock(TimePoint start) noexcept : last_(start), now_(start) {}

  // Stays the same for a whole turn. Do not compare it with monotonic_now().
  [[nodiscard]] TimePoint now() const noexcept { return now_; }

  // Says that the next wait takes at most this long.
  void plan(Duration wait) noexcept { planned_ = wait; }

  // Begins a turn. `real` is the time on CLOCK_MONOTONIC. Returns false if there was a pause before
  // this turn.
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
