// SPDX-License-Identifier: MIT
// Properties of the parser and the decoder for requests that rapidcheck generates.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "reactor/http/internal/parse/body.h"
#include "reactor/http/internal/parse/chars.h"
#include "tests/http/outcomes.h"

namespace reactor::http {
namespace {

using testing::Outcome;
using testing::parse_cut;
using testing::parse_once;

constexpr std::string_view kToken =
    "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::array<std::string_view, 22> kTargetParts = {
    "/", "?", ";", "=", "&", ":", "@", "!", "~", "$",   "[",
    "]", "_", "a", "b", "c", "X", "0", "1", "9", "%20", "%aF"};
constexpr std::string_view kValueBytes = "a b\tc:,;\"\\()\x80\xc3\xff~!09XYZ";

rc::Gen<std::string> text_of(std::string_view bytes) {
  return rc::gen::container<std::string>(
      rc::gen::map(rc::gen::inRange<std::size_t>(0, bytes.size()),
                   [bytes](std::size_t index) { return bytes[index]; }));
}

rc::Gen<std::string> non_empty(std::string_view bytes) {
  return rc::gen::suchThat(text_of(bytes), [](const std::string& text) { return !text.empty(); });
}

rc::Gen<std::string> any_target() {
  const auto part = rc::gen::inRange<std::size_t>(0, kTargetParts.size());
  return rc::gen::map(rc::gen::container<std::vector<std::size_t>>(part),
                      [](const std::vector<std::size_t>& parts) {
                        std::string target = "/";
                        for (const std::size_t each : parts) target += kTargetParts[each];
                        return target;
                      });
}

using Fields = std::vector<std::pair<std::string, std::string>>;

// A request head as it is sent. The parser returns the same, but without the blanks around values.
struct Head {
  std::string method;
  std::string target;
  int minor = 1;
  Fields fields;

  [[nodiscard]] std::string text() const {
    std::string out =
        method + ' ' + target + " HTTP/1." + std::to_string(minor) + "\r\nHost: a.example:80\r\n";
    for (const auto& [name, value] : fields) out.append(name).append(":").append(value) += "\r\n";
    return out + "\r\n";
  }
};

std::ostream& operator<<(std::ostream& out, const Head& head) { return out << head.text(); }

// Field names start with X, so that none of them means anything to the parser.
rc::Gen<Head> any_head() {
  const auto field = rc::gen::pair(
      rc::gen::map(text_of(kToken), [](std::string name) { return "X" + std::move(name); }),
      text_of(kValueBytes));
  return rc::gen::map(
      rc::gen::tuple(non_empty(kToken), any_target(), rc::gen::inRange(0, 10),
                     rc::gen::resize(12, rc::gen::container<Fields>(rc::gen::scale(8.0, field)))),
      [](std::tuple<std::string, std::string, int, Fields> parts) {
        auto& [method, target, minor, fields] = parts;
        return Head{method == "CONNECT" ? "GET" : std::move(method), std::move(target), minor,
                    std::move(fields)};
      });
}

rc::Gen<std::vector<std::size_t>> cuts_of(std::size_t size) {
  return rc::gen::map(
      rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, size + 1)),
      [](std::vector<std::size_t> cuts) {
        std::sort(cuts.begin(), cuts.end());
        return cuts;
      });
}

RC_GTEST_PROP(RequestParserProperty, GivesBackWhatWasSent, ()) {
  const Head head = *any_head();
  const std::string next = "GET";
  const std::string text = head.text() + next;
  RequestParser parser;
  ParseProgress progress;
  Request request;
  const ParseResult result = parser.parse(text, progress, request);
  RC_ASSERT(result.complete());
  RC_ASSERT(result.consumed + next.size() == text.size());
  RC_ASSERT(request.method_token == head.method);
  RC_ASSERT(request.target == head.target);
  RC_ASSERT(request.minor_version == head.minor);
  RC_ASSERT(request.fields.size() == head.fields.size() + 1);
  for (std::size_t i = 0; i < head.fields.size(); ++i) {
    RC_ASSERT(request.fields[i + 1].name == head.fields[i].first);
    RC_ASSERT(request.fields[i + 1].value == chars::trim(head.fields[i].second));
  }
}

RC_GTEST_PROP(RequestParserProperty, IsTheSameForEachWayToCut, ()) {
  std::string text = (*any_head()).text();
  const auto damage = *rc::gen::inRange<std::size_t>(0, 2 * text.size());
  if (damage < text.size()) text[damage] = *rc::gen::arbitrary<char>();
  const auto cuts = *cuts_of(text.size());
  RequestParser native;
  RequestParser portable({}, ScanPath::portable);
  const Outcome whole = parse_once(native, text);
  RC_ASSERT(parse_cut(native, text, cuts) == whole);
  RC_ASSERT(parse_cut(portable, text, cuts) == whole);
}

RC_GTEST_PROP(RequestParserProperty, ParsesWhatIsPrintedToTheSame, ()) {
  const Head head = *any_head();
  RequestParser parser;
  ParseProgress progress;
  Request request;
  const std::string text = head.text();
  RC_ASSERT(parser.parse(text, progress, request).complete());
  const std::string described = testing::describe(request);
  std::string printed = std::string(request.method_token) + ' ' + std::string(request.target) +
                        " HTTP/1." + std::to_string(request.minor_version) + "\r\n";
  for (const Field& field : request.fields) {
    printed += std::string(field.name) + ": " + std::string(field.value) + "\r\n";
  }
  const Outcome again = parse_once(parser, printed + "\r\n");
  RC_ASSERT(again.request == described);
}

// Returns the content in chunks that end at the cuts.
std::string encode(const std::string& content, const std::vector<std::size_t>& cuts,
                   const std::string& extension) {
  std::ostringstream out;
  std::size_t from = 0;
  const auto chunk = [&](std::size_t to) {
    if (to == from) return;
    out << std::hex << to - from << extension << "\r\n"
        << content.substr(from, to - from) << "\r\n";
    from = to;
  };
  for (const std::size_t cut : cuts) chunk(cut);
  chunk(content.size());
  out << '0' << extension << "\r\n\r\n";
  return out.str();
}

struct DecodedContent {
  ChunkedDecoder::State state = ChunkedDecoder::State::more;
  std::string content;
  std::size_t consumed = 0;
};

DecodedContent decode(const std::string& text, const std::vector<std::size_t>& cuts) {
  Limits limits;
  limits.chunk_extensions = 1U << 20U;
  ChunkedDecoder decoder;
  DecodedContent out;
  const auto feed = [&](std::size_t to) {
    while (out.state == ChunkedDecoder::State::more && out.consumed < to) {
      const testing::Exact piece(std::string_view(text).substr(out.consumed, to - out.consumed));
      const ChunkedDecoder::Step step = decoder.next(piece.view(), limits);
      out.consumed += step.consumed;
      out.content += step.data;
      if (step.state != ChunkedDecoder::State::data) out.state = step.state;
    }
  };
  for (const std::size_t cut : cuts) feed(cut);
  feed(text.size());
  return out;
}

RC_GTEST_PROP(ChunkedDecoderProperty, DecodesWhatWasEncoded, ()) {
  const std::string content = *rc::gen::scale(8.0, rc::gen::arbitrary<std::string>());
  const auto extension = *rc::gen::element<std::string>("", ";a", ";a=b", "; a = \"b\\\"\" ;c");
  const std::string text = encode(content, *cuts_of(content.size()), extension);
  const DecodedContent decoded = decode(text + "GET", *cuts_of(text.size()));
  RC_ASSERT(decoded.state == ChunkedDecoder::State::done);
  RC_ASSERT(decoded.content == content);
  RC_ASSERT(decoded.consumed == text.size());
}

RC_GTEST_PROP(ChunkedDecoderProperty, IsTheSameForEachWayToCut, ()) {
  const std::string content = *rc::gen::arbitrary<std::string>();
  std::string text = encode(content, *cuts_of(content.size()), ";a=b");
  text[*rc::gen::inRange<std::size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
  const DecodedContent whole = decode(text, {});
  const DecodedContent cut = decode(text, *cuts_of(text.size()));
  RC_ASSERT(cut.state == whole.state);
  RC_ASSERT(cut.content == whole.content);
}

}  // namespace
}  // namespace reactor::http
