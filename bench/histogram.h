// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bench {

// Counts durations in nanoseconds, in buckets about 3 % wide: 32 for each power of two.
class Histogram {
 public:
  void add(std::uint64_t value) {
    ++buckets_[bucket_of(value)];
    ++count_;
    if (value > largest_) largest_ = value;
  }

  // Returns the value that a `share` (0 to 1) of all values does not exceed.
  [[nodiscard]] double quantile(double share) const {
    const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > rank) return middle_of(i);
    }
    return static_cast<double>(largest_);
  }
  [[nodiscard]] double largest() const { return static_cast<double>(largest_); }

 private:
  static constexpr unsigned kBits = 5;
  static constexpr std::uint64_t kPerPower = 1U << kBits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kPerPower) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return (shift + 1) * kPerPower + ((value >> shift) & (kPerPower - 1));
  }
  static double middle_of(std::size_t bucket) {
    if (bucket < kPerPower) return static_cast<double>(bucket);
    const unsigned shift = static_cast<unsigned>(bucket / kPerPower) - 1;
    return (static_cast<double>(kPerPower + bucket % kPerPower) + 0.5) *
           static_cast<double>(std::uint64_t{1} << shift);
  }

  std::array<std::uint64_t, 60 * kPerPower> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t largest_ = 0;
};

}  // namespace bench
