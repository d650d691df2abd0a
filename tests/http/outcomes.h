// SPDX-License-Identifier: MIT
// The outcome of parsing a text, as a value that tests compare. It must be the same however the
// text is cut into pieces.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/http/internal/parse/parser.h"

namespace reactor::http::testing {

// A copy of a text in memory of its own size, so that the address sanitizer reports reads beyond
// its end.
class Exact {
 public:
  explicit Exact(std::string_view text) : data_(new char[text.size()]), size_(text.size()) {
    if (size_ != 0) std::memcpy(data_.get(), text.data(), size_);
  }
  [[nodiscard]] std::string_view view() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t size_;
};

inline std::string describe(const Request& request) {
  std::ostringstream out;
  out << request.method_token << '|' << to_string(request.method) << '|' << request.target << '|'
      << static_cast<int>(request.form) << '|' << static_cast<int>(request.minor_version) << '|'
      << request.host << '|' << request.upgrade << '|' << request.content_length << '|'
      << request.chunked << request.has_content_length << request.keep_alive
      << request.expect_continue << '|' << request.body.size();
  for (const Field& field : request.fields)
    out << "\n<" << field.name << ">:<" << field.value << '>';
  return out.str();
}

struct Outcome {
  ParseResult::State state = ParseResult::State::incomplete;
  int status = 0;
  std::size_t consumed = 0;
  std::string reason;
  std::string request;

  bool operator==(const Outcome&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << static_cast<int>(outcome.state) << ' ' << outcome.status << ' ' << outcome.consumed
             << ' ' << outcome.reason << '\n'
             << outcome.request;
}

inline Outcome outcome_of(const ParseResult& result, const Request& request) {
  return {result.state, result.status, result.consumed, result.reason,
          result.complete() ? describe(request) : ""};
}

// Parses growing prefixes of the text that end at the cuts (ascending), and at last the whole text.
// Each of them is a copy at another address.
inline Outcome parse_cut(RequestParser& parser, std::string_view text,
                         const std::vector<std::size_t>& cuts) {
  ParseProgress progress;
  Request request;
  for (const std::size_t cut : cuts) {
    const Exact part(text.substr(0, cut));
    const ParseResult result = parser.parse(part.view(), progress, request);
    if (!result.incomplete()) return outcome_of(result, request);
  }
  const Exact all(text);
  const ParseResult result = parser.parse(all.view(), progress, request);
  return outcome_of(result, request);
}

inline Outcome parse_once(RequestParser& parser, std::string_view text) {
  return parse_cut(parser, text, {});
}

inline Outcome parse_bytewise(RequestParser& parser, std::string_view text) {
  std::vector<std::size_t> cuts;
  for (std::size_t cut = 0; cut < text.size(); ++cut) cuts.push_back(cut);
  return parse_cut(parser, text, cuts);
}

// Returns the outcome of the text in one piece and by the native scan path. The text is also parsed
// by the portable path, byte by byte, and with each single cut. If any of these outcomes is
// different, `differs` describes the first.
inline Outcome parse_all_ways(std::string_view text, std::string& differs,
                              const Limits& limits = {}) {
  RequestParser native(limits);
  RequestParser portable(limits, ScanPath::portable);
  const Outcome expected = parse_once(native, text);
  const auto compare = [&](const Outcome& other, const std::string& how) {
    if (other != expected && differs.empty()) {
      std::ostringstream out;
      out << how << ": " << other << "\ninstead of: " << expected;
      differs = out.str();
    }
  };
  compare(parse_once(portable, text), "portable");
  for (RequestParser* parser : {&native, &portable}) {
    compare(parse_bytewise(*parser, text), "by bytes");
    for (std::size_t cut = 0; cut < text.size(); ++cut) {
      compare(parse_cut(*parser, text, {cut}), "cut at " + std::to_string(cut));
    }
  }
  return expected;
}

}  // namespace reactor::http::testing
