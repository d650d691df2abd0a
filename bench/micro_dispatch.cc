// SPDX-License-Identifier: MIT
// Measures one event among many descriptors: 100 bytes go around in a ring of 1,000 or 9,000 pipes.
// The time is for one event with its read(2) and write(2).
#include "bench/backends.h"
#include "bench/pipe_ring.h"

namespace {

constexpr std::size_t kActive = 100;

void dispatch(benchmark::State& state) {
  reactor::Loop loop(bench::options_of(state));
  bench::PipeRing pipes(loop);
  if (!pipes.open(static_cast<std::size_t>(state.range(1)))) {
    state.SkipWithError("not enough descriptors");
    return;
  }
  const auto events = static_cast<benchmark::IterationCount>(kActive) * 10;
  while (state.KeepRunningBatch(events)) {
    pipes.circulate(kActive, static_cast<std::uint64_t>(events));
  }
  state.SetItemsProcessed(state.iterations());
}

void cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"backend", "pipes"});
  bench::add_runs(benchmark, {{1000}, {9000}});
}

BENCHMARK(dispatch)->Apply(cases);

}  // namespace
