// SPDX-License-Identifier: MIT
#include "reactor/http/internal/parse/body.h"

#include <gtest/gtest.h>

#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/http/outcomes.h"

namespace reactor::http {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using State = ChunkedDecoder::State;

struct Decoded {
  State state = State::more;
  int status = 0;
  std::string reason;
  std::string data;
  std::size_t consumed = 0;

  bool operator==(const Decoded&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Decoded& decoded) {
  return out << static_cast<int>(decoded.state) << ' ' << decoded.status << ' ' << decoded.reason
             << ' ' << decoded.consumed << " <" << decoded.data << '>';
}

// Feeds one piece to the decoder until the decoder wants more, is done or fails.
void feed(ChunkedDecoder& decoder, std::string_view piece, const Limits& limits, Decoded& out) {
  const testing::Exact exact(piece);
  std::string_view rest = exact.view();
  while (true) {
    const ChunkedDecoder::Step step = decoder.next(rest, limits);
    ASSERT_LE(step.consumed, rest.size());
    rest.remove_prefix(step.consumed);
    out.consumed += step.consumed;
    out.data += step.data;
    out.state = step.state;
    out.status = step.status;
    out.reason = step.reason;
    if (step.state != State::data) break;
    ASSERT_FALSE(step.data.empty());
  }
  if (out.state == State::more) {
    EXPECT_TRUE(rest.empty());
  }
  if (out.state == State::error) out.consumed = 0;  // it has no meaning after an error
}

Decoded decode_cut(std::string_view text, const std::vector<std::size_t>& cuts,
                   const Limits& limits) {
  ChunkedDecoder decoder;
  Decoded out;
  std::size_t from = 0;
  for (const std::size_t cut : cuts) {
    feed(decoder, text.substr(from, cut - from), limits, out);
    if (out.state == State::done || out.state == State::error) return out;
    from = cut;
  }
  feed(decoder, text.substr(from), limits, out);
  return out;
}

Decoded decode(std::string_view text, const Limits& limits = {}) {
  const Decoded expected = decode_cut(text, {}, limits);
  std::vector<std::size_t> all;
  for (std::size_t first = 0; first < text.size(); ++first) {
    all.push_back(first);
    EXPECT_EQ(decode_cut(text, {first}, limits), expected) << first << '\n' << text;
    if (text.size() > 120) continue;
    for (std::size_t second = first; second < text.size(); ++second) {
      EXPECT_EQ(decode_cut(text, {first, second}, limits), expected);
    }
  }
  EXPECT_EQ(decode_cut(text, all, limits), expected) << text;
  return expected;
}

TEST(ChunkedDecoder, TakesBodies) {
  const struct {
    std::string text;
    std::string data;
  } cases[] = {
      {"0\r\n\r\n", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello"},
      {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
      {"00a\r\n0123456789\r\n000\r\n\r\n", "0123456789"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x"},
      {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
      {"1;a\r\nx\r\n0;b=c;d=\"e\\\"; \t\xff\"\r\n\r\n", "x"},
      {"1; a = b ; c\r\nx\r\n0\r\n\r\n", "x"},
      {"1 ;a\r\nx\r\n0\t ; b=c\r\n\r\n", "x"},  // bad whitespace (BWS), RFC 9110 section 5.6.3
      {"1 \t ;\ta\t=\t\"b\"\t;\tc\r\nx\r\n0\r\n\r\n", "x"},
      {"1;a=\"\"\r\nx\r\n0\r\n\r\n", "x"},
      {"1;a=\"\" ;b\r\nx\r\n0\r\n\r\n", "x"},
      {"1\r\nx\r\n0\r\nContent-Length: 7\r\nHost: b\r\nX:\r\nY: \xc3\xa9\t\r\n\r\n", "x"},
  };
  for (const auto& [text, data] : cases) {
    const Decoded out = decode(text + "GET / HTTP/1.1\r\n");
    EXPECT_EQ(out.state, State::done) << text << '\n' << out;
    EXPECT_EQ(out.data, data);
    EXPECT_EQ(out.consumed, text.size());
    for (std::size_t length = 0; length < text.size(); ++length) {
      EXPECT_EQ(decode_cut(text.substr(0, length), {}, {}).state, State::more);
    }
  }
}

struct ChunkedCase {
  const char* name;
  std::string text;
  int status = 400;
};

class ChunkedDecoderRefuses : public ::testing::TestWithParam<ChunkedCase> {};

TEST_P(ChunkedDecoderRefuses, WithItsStatus) {
  const Decoded out = decode(GetParam().text);
  EXPECT_EQ(out.state, State::error) << out;
  EXPECT_EQ(out.status, GetParam().status) << out;
  EXPECT_NE(out.reason, "");
}

std::string chunked_case_name(const ::testing::TestParamInfo<ChunkedCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, ChunkedDecoderRefuses,
    ::testing::Values(
        ChunkedCase{"Empty", "\r\nx"}, ChunkedCase{"Prefix0x", "0x5\r\nhello\r\n"},
        ChunkedCase{"Plus", "+5\r\nhello\r\n"}, ChunkedCase{"Minus", "-5\r\nhello\r\n"},
        ChunkedCase{"LeadingBlank", " 5\r\nhello\r\n"},
        ChunkedCase{"TrailingBlank", "5 \r\nhello\r\n"},
        ChunkedCase{"TrailingTab", "5\t\r\nhello\r\n"},
        ChunkedCase{"BlankInside", "5 5\r\nhello\r\n"},
        ChunkedCase{"BlankBeforeNothing", "5 ;\r\nhello\r\n"},
        ChunkedCase{"OnlyBlankAndExtension", " ;a\r\n"},
        ChunkedCase{"Underscore", "5_0\r\nhello\r\n"}, ChunkedCase{"Letter", "g\r\n"},
        ChunkedCase{"LetterBehind", "5g\r\n"}, ChunkedCase{"Comma", "5,5\r\n"},
        ChunkedCase{"Dot", "5.0\r\n"}, ChunkedCase{"Nul", "5\0\r\n"s},
        ChunkedCase{"Quoted", "\"5\"\r\n"}, ChunkedCase{"Overflow", "10000000000000000\r\n"},
        ChunkedCase{"OverflowAnd5", "10000000000000005\r\n"},
        ChunkedCase{"Zeros", "00000000000000001\r\nx"}, ChunkedCase{"High", "\xb5\r\n"},
        ChunkedCase{"Max", "ffffffffffffffff\r\n", 413},
        ChunkedCase{"OverLimit", "100001\r\n", 413},
        ChunkedCase{"SecondOverLimit", "1\r\nx\r\n100000\r\n", 413},
        ChunkedCase{"SecondWraps", "1\r\nx\r\nffffffffffffffff\r\n", 413}),
    chunked_case_name);

INSTANTIATE_TEST_SUITE_P(Lines, ChunkedDecoderRefuses,
                         ::testing::Values(ChunkedCase{"BareLf", "5\nhello\r\n0\r\n\r\n"},
                                           ChunkedCase{"BareCr", "5\rhello\r\n0\r\n\r\n"},
                                           ChunkedCase{"CrCrLf", "5\r\r\nhello"},
                                           ChunkedCase{"DataLf", "5\r\nhello\n0\r\n\r\n"},
                                           ChunkedCase{"DataCr", "5\r\nhello\r0\r\n\r\n"},
                                           ChunkedCase{"DataCrX", "5\r\nhello\rX0\r\n\r\n"},
                                           ChunkedCase{"DataTooLong", "5\r\nhello!\r\n0\r\n\r\n"},
                                           ChunkedCase{"DataTooShort", "5\r\nhell\r\n0\r\n\r\n"},
                                           ChunkedCase{"DataNoEnd", "5\r\nhello0\r\n\r\n"},
                                           ChunkedCase{"LastLf", "0\n\n"},
                                           ChunkedCase{"EndLf", "0\r\n\n"},
                                           ChunkedCase{"EndCrX", "0\r\n\rX"},
                                           ChunkedCase{"EndLfOfTrailer", "0\r\nX: y\n\r\n"}),
                         chunked_case_name);

INSTANTIATE_TEST_SUITE_P(
    Extensions, ChunkedDecoderRefuses,
    ::testing::Values(
        ChunkedCase{"BareSemicolon", "5;\r\nhello"}, ChunkedCase{"BareLf", "5;a\nhello"},
        ChunkedCase{"BareLfInName", "5;a\nb\r\nhello"}, ChunkedCase{"BareCr", "5;a\rb\r\nhello"},
        ChunkedCase{"NoValue", "5;a=\r\nhello"}, ChunkedCase{"NoName", "5;=b\r\nhello"},
        ChunkedCase{"TwoEquals", "5;a==b\r\nhello"}, ChunkedCase{"OpenQuote", "5;a=\"b\r\nhello"},
        ChunkedCase{"TextBehindQuote", "5;a=\"b\"c\r\nhello"},
        ChunkedCase{"TrailingBlank", "5;a \r\nhello"},
        ChunkedCase{"TrailingBlankOfValue", "5;a=b \r\nhello"},
        ChunkedCase{"Control", "5;a=\"\x01\"\r\n"}, ChunkedCase{"EscapedCr", "5;a=\"\\\r\n\""},
        ChunkedCase{"EscapedNul", "5;a=\"\\\0\""s}, ChunkedCase{"LfInQuote", "5;a=\"\n\"\r\nhello"},
        ChunkedCase{"Nul", "5;\0\r\n"s}, ChunkedCase{"Utf8Token", "5;\xc3\xa9\r\n"},
        ChunkedCase{"TwoSemicolons", "5;;a\r\nhello"}),
    chunked_case_name);

INSTANTIATE_TEST_SUITE_P(Trailers, ChunkedDecoderRefuses,
                         ::testing::Values(ChunkedCase{"NoColon", "0\r\nXY\r\n\r\n"},
                                           ChunkedCase{"EmptyName", "0\r\n: y\r\n\r\n"},
                                           ChunkedCase{"BlankBeforeColon", "0\r\nX : y\r\n\r\n"},
                                           ChunkedCase{"Fold", "0\r\nX: y\r\n z\r\n\r\n"},
                                           ChunkedCase{"LeadingBlank", "0\r\n X: y\r\n\r\n"},
                                           ChunkedCase{"Nul", "0\r\nX: \0\r\n\r\n"s},
                                           ChunkedCase{"BareCr", "0\r\nX: y\rz\r\n\r\n"},
                                           ChunkedCase{"BadName", "0\r\nX/: y\r\n\r\n"},
                                           ChunkedCase{"Request", "0\r\nGET / HTTP/1.1\r\n"}),
                         chunked_case_name);

TEST(ChunkedDecoder, KeepsToItsLimits) {
  const Limits limits{.body = 10, .chunk_extensions = 8, .trailer_bytes = 8};
  EXPECT_EQ(decode("a\r\n0123456789\r\n0\r\n\r\n", limits).state, State::done);
  EXPECT_EQ(decode("b\r", limits).status, 413);
  EXPECT_EQ(decode("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", limits).state, State::done);
  EXPECT_EQ(decode("5\r\n01234\r\n6\r", limits).status, 413);
  Limits endless;
  endless.body = 0xffffffffffffffffU;
  EXPECT_EQ(decode("1\r\nx\r\nffffffffffffffff\r", endless).status, 413);
  EXPECT_EQ(decode("0;1234567\r\n\r\n", limits).state, State::done);
  EXPECT_EQ(decode("0;12345678\r\n\r\n", limits).status, 400);
  EXPECT_EQ(decode("0 ;123456\r\n\r\n", limits).state, State::done);
  EXPECT_EQ(decode("0 ;1234567\r\n\r\n", limits).status, 400);
  EXPECT_EQ(decode_cut("5" + std::string(1'000'000, ' '), {}, {}).status, 400);
  EXPECT_EQ(decode("1;123\r\nx\r\n1;123\r\nx\r\n1;1", limits).status, 400);
  EXPECT_EQ(decode("0\r\nX: y\r\n\r\n", limits).state, State::done);
  EXPECT_EQ(decode("0\r\nX: yz\r\n\r\n", limits).status, 431);
  EXPECT_EQ(decode_cut("5;a=" + std::string(1'000'000, 'b'), {}, {}).status, 400);
  EXPECT_EQ(decode_cut("0\r\nX: " + std::string(1'000'000, 'b'), {}, {}).status, 431);
  std::string many = "0\r\n";
  for (int i = 0; i < 10000; ++i) many += "X: y\r\n";
  EXPECT_EQ(decode_cut(many, {}, {}).status, 431);
}

TEST(ChunkedDecoder, StaysDoneAndStaysFailed) {
  ChunkedDecoder good;
  EXPECT_EQ(good.next("0\r\n\r\n", {}).state, State::done);
  EXPECT_EQ(good.next("5\r\nhello", {}).state, State::done);
  EXPECT_EQ(good.next("5\r\nhello", {}).consumed, 0U);
  ChunkedDecoder bad;
  EXPECT_EQ(bad.next("x", {}).state, State::error);
  EXPECT_EQ(bad.next("0\r\n\r\n", {}).state, State::error);
  EXPECT_EQ(bad.next("", {}).state, State::error);
}

TEST(ChunkedDecoder, NamesTheByteThatIsWrong) {
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.next("5\r\nhello", {}).consumed, 8U);
  EXPECT_EQ(decoder.next("\r\n5x", {}).consumed, 3U);
  EXPECT_EQ(decoder.next("\r\n5x", {}).consumed, 0U) << "and takes nothing afterwards";
}

TEST(ChunkedDecoder, KeepsLittleAndCounts) {
  EXPECT_LE(sizeof(ChunkedDecoder), 24U);
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.next("", {}).state, State::more);
  EXPECT_EQ(decoder.next("5\r\nhe", {}).data, "he");
  EXPECT_EQ(decoder.total(), 5U);
}

TEST(ChunkedDecoder, JudgesDamagedBodiesAlikeHoweverTheyCome) {
  constexpr auto kBytes = "\r\n\t :;=\"\\0019afxg\0\x80"sv;
  std::mt19937 random(11);
  for (int round = 0; round < 400; ++round) {
    std::string text = "5;a=\"b\"\r\nhello\r\n0a\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
    for (auto edits = 1 + random() % 2; edits != 0; --edits) {
      text[random() % text.size()] = kBytes[random() % kBytes.size()];
    }
    decode(text);
  }
}

}  // namespace
}  // namespace reactor::http
