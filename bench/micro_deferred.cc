// SPDX-License-Identifier: MIT
// Measures a turn of the loop with nothing to do, and the time that a deferred call adds to it.
#include <vector>

#include "bench/backends.h"

namespace {

void empty_turn(benchmark::State& state) {
  reactor::Loop loop(bench::options_of(state));
  for (auto run : state) (void)loop.poll();
}

// One turn runs all the calls. The time is for one call with its schedule().
void deferred(benchmark::State& state) {
  constexpr benchmark::IterationCount kCalls = 1000;
  reactor::Loop loop(bench::options_of(state));
  std::uint64_t called = 0;
  std::vector<reactor::Deferred> calls;
  for (int i = 0; i < kCalls; ++i) calls.push_back(loop.deferred([&called] { ++called; }));
  while (state.KeepRunningBatch(kCalls)) {
    for (reactor::Deferred& call : calls) call.schedule();
    (void)loop.poll();
  }
  if (called < static_cast<std::uint64_t>(state.iterations())) state.SkipWithError("calls lost");
}

void backend_only(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"backend"});
  bench::on_each_backend(benchmark);
}

BENCHMARK(empty_turn)->Apply(backend_only);
BENCHMARK(deferred)->Apply(backend_only);

}  // namespace
