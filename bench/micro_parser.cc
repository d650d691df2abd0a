// SPDX-License-Identifier: MIT
// Measures one request through the parser, on both scan paths. The parsers of other libraries
// (peers/parser_*.cc) are linked in if they are installed, with the callbacks that a server sets.
#include <benchmark/benchmark.h>

#include "bench/parser_case.h"
#include "reactor/http/internal/parse/parser.h"

namespace {

using namespace reactor::http;

void parse(benchmark::State& state, ScanPath path) {
  RequestParser parser({}, path);
  Request request;
  for (auto _ : state) {
    std::string_view input = bench::kRequest;
    benchmark::DoNotOptimize(input);
    ParseProgress progress;
    const ParseResult result = parser.parse(input, progress, request);
    if (!result.complete() || request.fields.size() != 3) state.SkipWithError("not parsed");
    benchmark::DoNotOptimize(request);
  }
}

void reactor_native(benchmark::State& state) { parse(state, ScanPath::native); }
void reactor_portable(benchmark::State& state) { parse(state, ScanPath::portable); }
BENCHMARK(reactor_native);
BENCHMARK(reactor_portable);

}  // namespace
