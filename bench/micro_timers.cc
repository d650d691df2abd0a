// SPDX-License-Identifier: MIT
// Measures a million timers that exist from the beginning. A callback uses the loop's cached time;
// outside a turn start() reads the clock. The time is for one timer. timers.py compares the figures
// with those of other libraries.
#include <chrono>
#include <cstdint>
#include <vector>

#include "bench/backends.h"
#include "bench/timer_cases.h"

namespace {

using std::chrono::milliseconds;

class Timers {
 public:
  Timers(std::uint32_t count, std::uint32_t below_ms)
      : delays_(bench::random_numbers(count, below_ms)) {
    timers_.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      timers_.push_back(loop_.timer([this] { ++fired_; }));
    }
  }

  // Runs `function` in a callback or outside, and returns the CPU time that it took, in
  // nanoseconds.
  template <class Function>
  double measure(bool inside, Function&& function) {
    double took = 0;
    const auto timed = [&] {
      const double from = bench::cpu_nanoseconds();
      function();
      took = bench::cpu_nanoseconds() - from;
    };
    if (inside) {
      bench::in_callback(loop_, timed);
    } else {
      timed();
    }
    return took;
  }

  void start_all(milliseconds least) {
    for (std::size_t i = 0; i < timers_.size(); ++i) {
      timers_[i].start(least + milliseconds(delays_[i]));
    }
  }
  void stop_all() {
    for (reactor::Timer& timer : timers_) timer.stop();
  }
  void run_all() {
    fired_ = 0;
    while (fired_ < timers_.size()) (void)loop_.run_once();
  }
  reactor::Timer& operator[](std::size_t i) { return timers_[i]; }
  std::size_t size() const { return timers_.size(); }

 private:
  reactor::Loop loop_;
  std::vector<std::uint32_t> delays_;
  std::vector<reactor::Timer> timers_;
  std::uint64_t fired_ = 0;
};

constexpr double kNanosecond = 1e-9;

void insert(benchmark::State& state) {
  Timers timers(bench::kTimers, 1000000);
  const auto count = static_cast<benchmark::IterationCount>(timers.size());
  while (state.KeepRunningBatch(count)) {
    const double took =
        timers.measure(state.range(0) != 0, [&] { timers.start_all(milliseconds(1000)); });
    state.SetIterationTime(took * kNanosecond);
    timers.stop_all();
  }
}

void cancel(benchmark::State& state) {
  Timers timers(bench::kTimers, 1000000);
  const auto count = static_cast<benchmark::IterationCount>(timers.size());
  while (state.KeepRunningBatch(count)) {
    timers.measure(true, [&] { timers.start_all(milliseconds(1000)); });
    const double took = timers.measure(state.range(0) != 0, [&] { timers.stop_all(); });
    state.SetIterationTime(took * kNanosecond);
  }
}

// 10,000 timers are running, due in 60 s; each move restarts a random one.
void rearm(benchmark::State& state) {
  Timers timers(bench::kRunning, 1);
  const std::vector<std::uint32_t> which = bench::random_numbers(bench::kMoves, bench::kRunning);
  timers.start_all(milliseconds(60000));
  std::size_t next = 0;
  while (state.KeepRunningBatch(bench::kMovesPerTurn)) {
    if (next + bench::kMovesPerTurn > which.size()) next = 0;
    const double took = timers.measure(state.range(0) != 0, [&] {
      for (std::uint32_t i = 0; i < bench::kMovesPerTurn; ++i) {
        timers[which[next++]].start(milliseconds(60000));
      }
    });
    state.SetIterationTime(took * kNanosecond);
  }
}

// All timers are due within 0.5 s.
void fire(benchmark::State& state) {
  Timers timers(bench::kTimers, bench::kFireWithinMs);
  const auto count = static_cast<benchmark::IterationCount>(timers.size());
  while (state.KeepRunningBatch(count)) {
    timers.measure(true, [&] { timers.start_all(milliseconds(0)); });
    const double took = timers.measure(false, [&] { timers.run_all(); });
    state.SetIterationTime(took * kNanosecond);
  }
}

BENCHMARK(insert)->ArgName("in_callback")->Arg(1)->Arg(0)->UseManualTime();
BENCHMARK(cancel)->ArgName("in_callback")->Arg(1)->Arg(0)->UseManualTime();
BENCHMARK(rearm)->ArgName("in_callback")->Arg(1)->Arg(0)->UseManualTime();
BENCHMARK(fire)->UseManualTime();

}  // namespace
