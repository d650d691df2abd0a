// SPDX-License-Identifier: MIT
// Time as the loop knows it: nanoseconds on the monotonic clock. Wall-clock jumps change nothing.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <limits>

namespace reactor {

// Nanoseconds, signed. Durations below zero count as zero wherever a delay is asked for.
using Duration = std::chrono::nanoseconds;

// A point on CLOCK_MONOTONIC, in nanoseconds since an arbitrary start. Compare, subtract and add;
// it means nothing in another boot of the machine.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// "Never": larger than every real deadline.
inline constexpr Duration kForever = Duration::max();

// CLOCK_MONOTONIC right now (clock_gettime(2); a vDSO call, about 20 ns).
[[nodiscard]] inline TimePoint monotonic_now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return TimePoint(std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec));
}

// `at` + `delay`, where a sum beyond the range becomes TimePoint::max() and a negative delay 0.
[[nodiscard]] constexpr TimePoint saturating_add(TimePoint at, Duration delay) noexcept {
  if (delay <= Duration::zero()) return at;
  const Duration room = TimePoint::max() - at;
  return delay >= room ? TimePoint::max() : at + delay;
}

}  // namespace reactor
