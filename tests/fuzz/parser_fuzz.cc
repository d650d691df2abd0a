// SPDX-License-Identifier: MIT
// Feeds any bytes, cut anywhere, to RequestParser, by both scan paths and with random limits.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/http/internal/parse/parser.h"
#include "tests/fuzz/fuzz.h"
#include "tests/http/outcomes.h"

namespace {

using reactor::fuzz::demand;
using reactor::fuzz::Draw;
using namespace reactor::http;
using reactor::http::testing::Exact;
using reactor::http::testing::Outcome;
using reactor::http::testing::parse_bytewise;
using reactor::http::testing::parse_cut;
using reactor::http::testing::parse_once;

// Parsing byte by byte takes quadratic time, because each step copies the text.
constexpr std::size_t kShort = 300;

bool inside(std::string_view part, std::string_view whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

// Checks that a complete request keeps the limits and the promises of Request.
void check_request(const Request& request, std::string_view head, const Limits& limits) {
  demand(inside(request.method_token, head) && inside(request.target, head), "views into the head");
  demand(inside(request.host, head) && inside(request.upgrade, head), "views into the head");
  demand(!request.method_token.empty() && !request.target.empty(), "a method and a target");
  demand(request.fields.size() <= limits.fields, "the limit on fields");
  demand(request.content_length <= limits.body, "the limit on the body");
  demand(!(request.chunked && request.has_content_length), "one framing");
  demand(!request.chunked || request.minor_version != 0, "no chunks in 1.0");
  demand(request.method_token.size() + request.target.size() + 10 <= limits.request_line,
         "the limit on the request line");
  std::size_t bytes = 2;
  for (const Field& field : request.fields) {
    demand(inside(field.name, head) && inside(field.value, head), "fields in the head");
    demand(field.name.find_first_of("\r\n: \t") == std::string_view::npos, "names are tokens");
    demand(field.value.find_first_of({"\r\n\0", 3}) == std::string_view::npos, "values are lines");
    bytes += field.name.size() + field.value.size() + 3;
  }
  demand(bytes <= limits.header_bytes, "the limit on the header section");
}

// Prints a parsed request, to be parsed again.
std::string print(const Request& request) {
  std::string out = std::string(request.method_token) + ' ' + std::string(request.target) +
                    " HTTP/1." + std::to_string(request.minor_version) + "\r\n";
  for (const Field& field : request.fields) {
    out += std::string(field.name) + ":" + std::string(field.value) + "\r\n";
  }
  return out + "\r\n";
}

// Returns the size of the first request in bytes, 0 if it is not complete.
std::size_t check_first(std::string_view text, const Limits& limits, Draw& draw) {
  RequestParser native(limits);
  RequestParser portable(limits, ScanPath::portable);
  const Outcome outcome = parse_once(native, text);
  demand(parse_once(portable, text) == outcome, "native == portable");
  for (RequestParser* parser : {&native, &portable}) {
    demand(parse_cut(*parser, text, draw.cuts(text.size(), 4)) == outcome, "cut == whole");
    if (text.size() <= kShort)
      demand(parse_bytewise(*parser, text) == outcome, "byte by byte == whole");
  }
  if (outcome.state == ParseResult::State::incomplete) {
    demand(text.size() < native.max_head() || text.empty(), "max_head() is enough");
  }
  if (outcome.state != ParseResult::State::complete) return 0;
  demand(outcome.consumed <= text.size() && outcome.consumed <= native.max_head(), "consumed");
  demand(parse_once(native, text.substr(0, outcome.consumed)) == outcome, "what follows is unread");
  const Exact head(text.substr(0, outcome.consumed));
  ParseProgress progress;
  Request request;
  demand(native.parse(head.view(), progress, request).complete(), "the same again");
  demand(progress.fresh(), "a fresh place");
  check_request(request, head.view(), limits);
  const Outcome printed = parse_once(portable, print(request));
  demand(printed.state == outcome.state && printed.request == outcome.request, "print and parse");
  return outcome.consumed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Draw draw(text);
  const Limits limits = reactor::fuzz::draw_limits(draw);
  for (int request = 0; request < 4; ++request) {
    const std::size_t consumed = check_first(text, limits, draw);
    if (consumed == 0) break;
    text.remove_prefix(consumed);
  }
  return 0;
}
