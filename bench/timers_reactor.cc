// SPDX-License-Identifier: MIT
// Runs the timer workload on this library; see timer_cases.h.
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/timer_cases.h"
#include "reactor/loop/loop.h"

namespace {

class Timers {
 public:
  explicit Timers(std::uint32_t count) {
    timers_.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      timers_.push_back(loop_.timer([this] { ++fired_; }));
    }
  }

  template <class Function>
  void inside(Function&& function) {
    reactor::Deferred turn = loop_.deferred([&] { function(); });
    turn.schedule();
    (void)loop_.poll();
  }

  void next_turn() { (void)loop_.poll(); }
  void start(std::uint32_t i, std::uint32_t ms) { timers_[i].start(std::chrono::milliseconds(ms)); }
  void move(std::uint32_t i, std::uint32_t ms) { start(i, ms); }
  void stop(std::uint32_t i) { timers_[i].stop(); }
  void run_until(std::uint32_t fired) {
    while (fired_ < fired) (void)loop_.run_once();
  }

 private:
  reactor::Loop loop_;
  std::vector<reactor::Timer> timers_;
  std::uint32_t fired_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::run_timer_cases<Timers>(argc, argv); }
