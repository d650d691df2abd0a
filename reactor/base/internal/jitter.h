// SPDX-License-Identifier: MIT
// Jitter makes random parts of durations, so that timers that were started together do not all
// expire together. The numbers are easy to guess, so don't use them for secrets. Private to the
// library.
#pragma once

#include <cstdint>

#include "reactor/base/clock.h"

namespace reactor {

class Jitter {
 public:
  explicit Jitter(std::uint32_t seed = 1) noexcept : state_(seed) {}

  // Returns a random duration that is at least 0 and less than `whole`, or 0 if `whole` is 0.
  // `whole` must not be negative.
  [[nodiscard]] Duration part_of(Duration whole) noexcept {
    state_ = state_ * 1664525 + 1013904223;  // a linear congruential generator (Numerical Recipes)
    const double share = static_cast<double>(state_ >> 8U) / 0x1000000;
    return Duration(static_cast<Duration::rep>(static_cast<double>(whole.count()) * share));
  }

 private:
  std::uint32_t state_;
};

}  // namespace reactor
