// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reactor/base/clock.h"

namespace reactor {

// RateLimit limits the bytes per second, as a bucket that fills with time. The bucket holds 50 ms'
// worth at most, so that a connection can't make up for a longer pause. An allowance is 0 or at
// least 10 ms' worth, so that a waiting Stream is not called for each byte. Private to net/.
class RateLimit {
 public:
  // Sets the rate; 0: no limit. The first rate begins with 10 ms' worth. A new rate keeps the state
  // of the bucket. Otherwise a caller that sets the rate at each read would have no limit.
  void set(std::uint64_t bytes_a_second, TimePoint now) noexcept {
    const bool begins = rate_ <= 0;
    rate_ = static_cast<double>(bytes_a_second);
    if (begins && rate_ > 0) paid_until_ = now - time_for(least());
  }

  // Returns how many bytes may be moved now. 0: none before ready_at().
  [[nodiscard]] std::size_t allowance(TimePoint now) const noexcept {
    if (rate_ <= 0) return SIZE_MAX;
    const double credit = std::chrono::duration<double>(now - counted_from(now)).count() * rate_;
    return credit < least() ? 0 : static_cast<std::size_t>(credit);
  }
  [[nodiscard]] TimePoint ready_at() const noexcept { return paid_until_ + time_for(least()); }

  void took(std::size_t bytes, TimePoint now) noexcept {
    if (rate_ > 0) paid_until_ = counted_from(now) + time_for(static_cast<double>(bytes));
  }

 private:
  [[nodiscard]] double least() const noexcept { return std::max(1.0, rate_ / 100); }
  // Returns the time that `bytes` take, rounded up, so that the bucket has enough by then.
  [[nodiscard]] Duration time_for(double bytes) const noexcept {
    return Duration(static_cast<std::int64_t>(std::ceil(bytes * 1e9 / rate_)));
  }
  // Returns the time at which the bucket began to fill. This is at most 50 ms ago or, at very low
  // rates, as long ago as two bytes take, so that the bucket can hold one byte.
  [[nodiscard]] TimePoint counted_from(TimePoint now) const noexcept {
    constexpr Duration kLongestRest = std::chrono::milliseconds(50);
    return std::max(paid_until_, now - std::max(kLongestRest, time_for(2)));
  }

  double rate_ = 0;
  TimePoint paid_until_{};  // the moved bytes have used up the rate until this time
};

}  // namespace reactor
