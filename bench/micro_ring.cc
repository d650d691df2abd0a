// SPDX-License-Identifier: MIT
// Runs the ring of pipes as libevent's bench.c does. A run has a number of pipes, a number of bytes
// in flight at the same time, and a total number of writes. One iteration is one run.
#include "bench/backends.h"
#include "bench/pipe_ring.h"

namespace {

void ring(benchmark::State& state) {
  reactor::Loop loop(bench::options_of(state));
  bench::PipeRing pipes(loop);
  if (!pipes.open(static_cast<std::size_t>(state.range(1)))) {
    state.SkipWithError("not enough descriptors");
    return;
  }
  const auto active = static_cast<std::size_t>(state.range(2));
  const auto writes = static_cast<std::uint64_t>(state.range(3));
  for (auto run : state) pipes.circulate(active, writes);
  state.SetItemsProcessed(state.iterations() * state.range(3));
}

void cases(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"backend", "pipes", "active", "writes"});
  bench::add_runs(benchmark, {{100, 1, 100}, {100, 100, 1000}, {1000, 1, 1000}, {1000, 100, 1000}});
}

BENCHMARK(ring)->Apply(cases)->Unit(benchmark::kMicrosecond);

}  // namespace
