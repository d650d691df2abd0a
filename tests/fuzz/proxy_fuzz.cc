// SPDX-License-Identifier: MIT
// Feeds any bytes, cut anywhere, to ProxyHeaderParser, for each version.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "reactor/net/internal/proxy_header.h"
#include "tests/fuzz/fuzz.h"

namespace {

using reactor::ProxiedAddresses;
using reactor::ProxyHeaderParser;
using reactor::ProxyProtocol;
using reactor::fuzz::demand;
using reactor::fuzz::Draw;
using State = ProxyHeaderParser::State;

struct Outcome {
  State state = State::more;
  std::size_t consumed = 0;
  std::optional<ProxiedAddresses> addresses;

  bool operator==(const Outcome&) const = default;
};

// Each piece has memory of exactly its size, so that the address sanitizer sees reads beyond it.
Outcome parse(std::string_view text, ProxyProtocol protocol, const std::vector<std::size_t>& cuts) {
  ProxyHeaderParser parser(protocol);
  Outcome outcome;
  std::vector<std::size_t> ends = cuts;
  ends.push_back(text.size());
  for (const std::size_t end : ends) {
    const std::string_view piece = text.substr(outcome.consumed, end - outcome.consumed);
    const std::vector<char> exact(piece.begin(), piece.end());
    const auto step = parser.next(std::as_bytes(std::span(exact)));
    demand(step.consumed <= piece.size(), "no more than there is");
    demand(step.state != State::more || step.consumed == piece.size(), "more: all was taken");
    outcome.consumed += step.consumed;
    outcome.state = step.state;
    if (step.state != State::more) break;
  }
  outcome.addresses = parser.addresses();
  demand(outcome.state == State::done || !outcome.addresses, "nothing is said before the end");
  return outcome;
}

// The parser must consume exactly the header, whose length this finds in another way.
void check_length(std::string_view header) {
  if (header.front() == 'P') {
    demand(header.size() <= ProxyHeaderParser::kMostV1, "the limit of a line");
    demand(header.find("\r\n") == header.size() - 2, "one line");
    return;
  }
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(header[at]); };
  demand(header.size() <= ProxyHeaderParser::kMostV2, "the limit of version 2");
  demand(header.size() == 16U + byte(14) * 256U + byte(15), "the length that it says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Draw draw(text);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 1; at < size; ++at) cuts.push_back(at);
  int accepted = 0;
  for (const ProxyProtocol protocol : {ProxyProtocol::v1, ProxyProtocol::v2}) {
    const Outcome whole = parse(text, protocol, {});
    demand(parse(text, protocol, draw.cuts(size, 6)) == whole, "cut == whole");
    demand(parse(text, protocol, cuts) == whole, "byte by byte == whole");
    if (size == 0 || whole.state == State::bad) continue;
    ++accepted;
    demand(parse(text, ProxyProtocol::either, {}) == whole, "either knows it too");
    if (whole.state == State::done) check_length(text.substr(0, whole.consumed));
  }
  demand(accepted <= 1, "no header is of both versions");
  return 0;
}
