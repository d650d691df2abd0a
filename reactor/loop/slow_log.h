// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "reactor/base/clock.h"
#include "reactor/loop/dispatchable.h"

namespace reactor {

// Writes the log lines about slow callbacks: for each place that makes handles one in kInterval,
// with the number of those that were left out. A client that makes a callback slow makes it slow
// again and again, and must not fill the disk. Private to the loop.
class SlowLog {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);

  // `who` held the loop up for `took`; without a kind: one of the `calls` of a batch did. `now` is
  // the clock's time.
  void report(const HandleInfo& who, std::size_t calls, Duration took, TimePoint now);

 private:
  struct Place {
    const char* file = nullptr;
    unsigned line = 0;
    TimePoint next{};            // no line before
    std::uint64_t left_out = 0;  // since the last line
    Duration longest{0};         // of those
  };
  // All that are more share the last one.
  static constexpr std::size_t kPlaces = 16;

  [[nodiscard]] Place& place_of(const HandleInfo& who) noexcept;

  std::array<Place, kPlaces> places_;
  std::size_t used_ = 0;
};

}  // namespace reactor
