// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "reactor/base/clock.h"

namespace reactor {

// Measures the time in which this process could run. Use it to check that something takes at most a
// given time. A busy machine stops a test, and its servers, for tens of milliseconds at any moment;
// such a stop counts as two ticks at most. The stopwatch has a thread, so a test that forks must do
// so before it makes a stopwatch. For a lower bound use monotonic_now().
class Stopwatch {
 public:
  Stopwatch() : thread_([this] { count(); }) {}
  ~Stopwatch() {
    over_ = true;
    thread_.join();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  [[nodiscard]] Duration elapsed() const { return elapsed_; }

 private:
  static constexpr Duration kTick = std::chrono::milliseconds(5);

  void count() {
    for (TimePoint last = monotonic_now(); !over_;) {
      std::this_thread::sleep_for(kTick);
      const TimePoint now = monotonic_now();
      elapsed_ = elapsed_.load() + std::min<Duration>(now - last, 2 * kTick);
      last = now;
    }
  }

  std::atomic<Duration> elapsed_{};
  std::atomic<bool> over_ = false;
  std::thread thread_;  // the last member, because it uses the others
};

}  // namespace reactor
