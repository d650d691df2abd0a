// SPDX-License-Identifier: MIT
#include <benchmark/benchmark.h>
#include <http_parser.h>

#include "bench/parser_case.h"

namespace {

bench::Seen& seen(http_parser* parser) { return *static_cast<bench::Seen*>(parser->data); }

void http_parser_c(benchmark::State& state) {
  http_parser_settings settings;
  http_parser_settings_init(&settings);
  settings.on_url = [](http_parser* parser, const char* at, std::size_t size) {
    seen(parser).target = {at, size};
    return 0;
  };
  settings.on_header_field = [](http_parser*, const char*, std::size_t) { return 0; };
  settings.on_header_value = [](http_parser* parser, const char*, std::size_t) {
    ++seen(parser).fields;
    return 0;
  };
  settings.on_message_complete = [](http_parser* parser) {
    ++seen(parser).complete;
    return 0;
  };
  bench::Seen own;
  http_parser parser;
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &own;
  for (auto _ : state) {
    own.complete = 0;
    const char* input = bench::kRequest.data();
    benchmark::DoNotOptimize(input);
    http_parser_execute(&parser, &settings, input, bench::kRequest.size());
    if (own.complete != 1) state.SkipWithError("not parsed");
    benchmark::DoNotOptimize(own);
  }
}
BENCHMARK(http_parser_c);

}  // namespace
