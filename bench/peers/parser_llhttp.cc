// SPDX-License-Identifier: MIT
#include <benchmark/benchmark.h>
#include <llhttp.h>

#include "bench/parser_case.h"

namespace {

bench::Seen& seen(llhttp_t* parser) { return *static_cast<bench::Seen*>(parser->data); }

void llhttp(benchmark::State& state) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = [](llhttp_t* parser, const char* at, std::size_t size) {
    seen(parser).target = {at, size};
    return 0;
  };
  settings.on_header_field = [](llhttp_t*, const char*, std::size_t) { return 0; };
  settings.on_header_value = [](llhttp_t* parser, const char*, std::size_t) {
    ++seen(parser).fields;
    return 0;
  };
  settings.on_message_complete = [](llhttp_t* parser) {
    ++seen(parser).complete;
    return 0;
  };
  bench::Seen own;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  parser.data = &own;
  for (auto _ : state) {
    own.complete = 0;
    const char* input = bench::kRequest.data();
    benchmark::DoNotOptimize(input);
    llhttp_execute(&parser, input, bench::kRequest.size());
    if (own.complete != 1) state.SkipWithError("not parsed");
    benchmark::DoNotOptimize(own);
  }
}
BENCHMARK(llhttp);

}  // namespace
