// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "reactor/base/clock.h"
#include "reactor/loop/dispatchable.h"

namespace reactor {

// SlowLog writes the log lines about slow callbacks. Each place that makes handles gets at most one
// line in kInterval, with a count of the lines left out: a client that can make a callback slow
// once can do it again and again, and must not fill the disk. Private to the loop.
class SlowLog {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);

  // Reports that `who` blocked the loop for `took`. If `who` has no kind, the whole batch of
  // `calls` callbacks took that time. `now` is the clock's time.
  void report(const HandleInfo& who, std::size_t calls, Duration took, TimePoint now);

 private:
  struct Place {
    const char* file = nullptr;
    unsigned line = 0;
    TimePoint next{};            // earliest time of the next line
    std::uint64_t left_out = 0;  // lines left out since the last one
    Duration longest{0};         // longest time among those
  };
  // When the table is full, all further places share the last entry.
  static constexpr std::size_t kPlaces = 16;

  [[nodiscard]] Place& place_of(const HandleInfo& who) noexcept;
  [[nodiscard]] static std::string what_was_left_out(const Place& place);

  std::array<Place, kPlaces> places_;
  std::size_t used_ = 0;
};

}  // namespace reactor
