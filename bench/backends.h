// SPDX-License-Identifier: MIT
// These functions help the micro-benchmarks. Each benchmark runs on every backend, which is its
// first argument.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "reactor/loop/loop.h"

namespace bench {

// Adds a run for each combination of a backend and one of `cases`, which are lists of further
// arguments.
inline void add_runs(benchmark::internal::Benchmark* benchmark,
                     std::initializer_list<std::initializer_list<std::int64_t>> cases) {
  const std::size_t backends = reactor::available_backends().size();
  for (std::size_t backend = 0; backend < backends; ++backend) {
    for (const std::initializer_list<std::int64_t>& more : cases) {
      std::vector<std::int64_t> arguments{static_cast<std::int64_t>(backend)};
      arguments.insert(arguments.end(), more);
      benchmark->Args(arguments);
    }
  }
}

inline void on_each_backend(benchmark::internal::Benchmark* benchmark) {
  add_runs(benchmark, {{}});
}

// Returns options with the backend of this run, and puts its name into the row of the report.
inline reactor::LoopOptions options_of(benchmark::State& state) {
  const reactor::Backend backend =
      reactor::available_backends()[static_cast<std::size_t>(state.range(0))];
  state.SetLabel(std::string(reactor::to_string(backend)));
  reactor::LoopOptions options;
  options.backend = backend;
  return options;
}

// Runs `function` inside a callback of the loop, where now() stands still.
template <class Function>
void in_callback(reactor::Loop& loop, Function&& function) {
  reactor::Deferred turn = loop.deferred([&] { function(); });
  turn.schedule();
  (void)loop.poll();
}

}  // namespace bench
