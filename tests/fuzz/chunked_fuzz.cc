// SPDX-License-Identifier: MIT
// Feeds any bytes, cut anywhere, to ChunkedDecoder, with random limits.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/http/internal/parse/body.h"
#include "tests/fuzz/fuzz.h"
#include "tests/http/outcomes.h"

namespace {

using reactor::fuzz::demand;
using reactor::fuzz::Draw;
using reactor::http::ChunkedDecoder;
using reactor::http::Limits;
using reactor::http::testing::Exact;
using State = ChunkedDecoder::State;

struct Body {
  State state = State::more;
  int status = 0;
  std::string reason;
  std::string content;
  std::size_t consumed = 0;  // 0 after an error

  bool operator==(const Body&) const = default;
};

// Gives the decoder a piece. Returns false if the decoder is done or has failed.
bool feed(ChunkedDecoder& decoder, std::string_view piece, const Limits& limits, Body& body) {
  const Exact exact(piece);
  std::string_view rest = exact.view();
  do {
    const ChunkedDecoder::Step step = decoder.next(rest, limits);
    demand(step.consumed <= rest.size(), "no more than there is");
    demand((step.state == State::data) == !step.data.empty(), "data where it says so");
    body.state = step.state;
    body.status = step.status;
    body.reason = step.reason;
    body.content += step.data;
    body.consumed += step.consumed;
    rest.remove_prefix(step.consumed);
  } while (body.state == State::data);
  if (body.state == State::error) body.consumed = 0;
  demand(body.state != State::more || rest.empty(), "more: all was taken");
  return body.state == State::more;
}

Body decode(std::string_view text, const std::vector<std::size_t>& cuts, const Limits& limits) {
  ChunkedDecoder decoder;
  Body body;
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    if (!feed(decoder, text.substr(from, cut - from), limits, body)) break;
    from = cut;
  }
  if (body.state == State::more) feed(decoder, text.substr(from), limits, body);
  demand(body.content.size() <= decoder.total(), "total() counts what came");
  demand(decoder.total() <= limits.body, "the limit on the body");
  if (body.state == State::error || body.state == State::done) {
    const ChunkedDecoder::Step again = decoder.next("0\r\n\r\n", limits);
    demand(again.state == body.state && again.consumed == 0, "the end is the end");
  }
  return body;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Draw draw(text);
  const Limits limits = reactor::fuzz::draw_limits(draw);
  const Body whole = decode(text, {}, limits);
  for (int round = 0; round < 3; ++round) {
    demand(decode(text, draw.cuts(size, 6), limits) == whole, "cut == whole");
  }
  std::vector<std::size_t> cuts;
  for (std::size_t at = 1; at < size; ++at) cuts.push_back(at);
  demand(decode(text, cuts, limits) == whole, "byte by byte == whole");
  if (whole.state == State::done) {
    demand(decode(text.substr(0, whole.consumed), {}, limits) == whole, "what follows is unread");
  }
  return 0;
}
