// SPDX-License-Identifier: MIT
// Duration and TimePoint are the loop's time: nanoseconds on the monotonic clock. Jumps of the wall
// clock do not affect them.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <limits>

namespace reactor {

// A Duration is a signed number of nanoseconds. A negative delay counts as zero.
using Duration = std::chrono::nanoseconds;

// A TimePoint is a point on CLOCK_MONOTONIC, in nanoseconds since an arbitrary start. Two points
// can be compared and subtracted; a value is meaningless after the machine reboots.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// A delay of kForever never expires, and a wait of kForever has no limit.
inline constexpr Duration kForever = Duration::max();

// Returns the current time of CLOCK_MONOTONIC (clock_gettime(2); a vDSO call, about 20 ns).
[[nodiscard]] inline TimePoint monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return TimePoint(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

// Returns `at` + `delay`. A sum that is out of range becomes TimePoint::max(); a negative delay
// counts as 0.
[[nodiscard]] constexpr TimePoint saturating_add(TimePoint at, Duration delay) noexcept {
  if (delay <= Duration::zero()) return at;
  const Duration room = TimePoint::max() - at;
  return delay >= room ? TimePoint::max() : at + delay;
}

}  // namespace reactor
