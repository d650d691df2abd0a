// SPDX-License-Identifier: MIT
// Measures post(): to a loop that is awake, from its own thread and from another one, and to a loop
// that sleeps.
#include <atomic>
#include <cstdint>
#include <thread>

#include "bench/backends.h"

namespace {

// The loop posts to itself. The time is for one call, posted and run.
void post_from_callback(benchmark::State& state) {
  constexpr benchmark::IterationCount kCalls = 1000;
  reactor::Loop loop(bench::options_of(state));
  std::uint64_t called = 0;
  while (state.KeepRunningBatch(kCalls)) {
    bench::in_callback(loop, [&] {
      for (int i = 0; i < kCalls; ++i) loop.post([&called] { ++called; });
    });
  }
  if (called < static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("calls lost");
}

// Runs a loop in a thread of its own, and keeps it awake if `awake` is set.
class Runner {
 public:
  Runner(reactor::LoopOptions options, bool awake)
      : loop_(std::move(options)), again_(loop_.timer([this] { again_.start({}); })) {
    if (awake) {
      again_.start({});
    } else {
      again_.start(reactor::kForever);  // run() would end if there were nothing to wait for
    }
    thread_ = std::thread([this] { (void)loop_.run(); });
  }
  ~Runner() {
    loop_.stop();
    thread_.join();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  reactor::Loop& loop() { return loop_; }

 private:
  reactor::Loop loop_;
  reactor::Timer again_;
  std::thread thread_;
};

// Measures the cost for the thread that posts, while the loop is always turning. With one CPU the
// two threads alternate and the figure means little.
void post_to_awake(benchmark::State& state) {
  std::atomic<std::int64_t> called{0};
  Runner runner(bench::options_of(state), true);
  for (auto run : state) {
    runner.loop().post([&called] { called.fetch_add(1, std::memory_order_relaxed); });
  }
  while (called.load() < state.iterations()) std::this_thread::yield();
}

// Two sleeping loops wake each other. The time is for a round trip.
void wake_round_trip(benchmark::State& state) {
  Runner other(bench::options_of(state), false);
  reactor::Loop loop(bench::options_of(state));
  reactor::Timer waiting = loop.after(reactor::kForever, [] {});
  bool back = false;
  for (auto run : state) {
    back = false;
    other.loop().post([&] { loop.post([&] { back = true; }); });
    while (!back) (void)loop.run_once();
  }
}

void backend_only(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"backend"});
  bench::on_each_backend(benchmark);
}

BENCHMARK(post_from_callback)->Apply(backend_only);
BENCHMARK(post_to_awake)->Apply(backend_only)->UseRealTime();
BENCHMARK(wake_round_trip)->Apply(backend_only)->UseRealTime();

}  // namespace
