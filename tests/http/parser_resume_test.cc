// SPDX-License-Identifier: MIT
// Requests in pieces: pipelining, resuming, limits, and random damage, which all ways of parsing
// must judge alike.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/http/outcomes.h"

namespace reactor::http {
namespace {

using namespace std::string_view_literals;
using testing::Outcome;
using testing::parse_all_ways;

constexpr ScanPath kPaths[] = {ScanPath::native, ScanPath::portable};

const std::vector<std::string>& samples() {
  static const std::vector<std::string> all = {
      "GET /plaintext HTTP/1.1\r\nHost: tfb-server\r\nAccept: text/plain,text/html;q=0.9,"
      "application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\nConnection: "
      "keep-alive\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /p HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
      "PUT http://h/x HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n",
      "\r\nOPTIONS * HTTP/1.1\r\nhost:a\r\nconnection: upgrade , close\r\nUpgrade: ws\r\n\r\n",
      "HEAD /a?b HTTP/1.0\r\nX_y:\t z \r\nK: \xc3\xa9\r\nConnection: Keep-Alive\r\n\r\n",
      "CONNECT a.example:443 HTTP/1.2\r\nHost: a.example:443\r\nVery-Long-Field-Name-Of-Someone: v"
      "\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n"};
  return all;
}

TEST(RequestParserPieces, TakesPipelinesApart) {
  std::string stream;
  for (int round = 0; round < 3; ++round) {
    for (const std::string& sample : samples()) stream += sample;
  }
  for (const ScanPath path : kPaths) {
    RequestParser parser({}, path);
    RequestParser alone({}, path);
    std::size_t at = 0;
    for (std::size_t i = 0; at < stream.size(); ++i) {
      const std::string& sample = samples()[i % samples().size()];
      Outcome expected = testing::parse_once(alone, sample);
      ASSERT_EQ(expected.state, ParseResult::State::complete);
      EXPECT_EQ(testing::parse_once(parser, stream.substr(at)), expected);
      EXPECT_EQ(testing::parse_bytewise(parser, stream.substr(at, sample.size() + 1)), expected);
      at += expected.consumed;
    }
    EXPECT_EQ(at, stream.size());
  }
}

TEST(RequestParserPieces, LeavesItsPlaceFreshForTheNextRequest) {
  const std::string text = "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
  RequestParser parser;
  ParseProgress progress;
  Request request;
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(parser.parse(text, progress, request).complete());
    ASSERT_TRUE(parser.parse(text.substr(0, 10), progress, request).incomplete());
    ASSERT_TRUE(parser.parse(text, progress, request).complete());
  }
}

TEST(RequestParserPieces, WaitsForEachPrefixInSilence) {
  for (const std::string& sample : samples()) {
    for (const ScanPath path : kPaths) {
      for (std::size_t length = 0; length < sample.size(); ++length) {
        RequestParser parser({}, path);
        EXPECT_EQ(testing::parse_once(parser, sample.substr(0, length)).state,
                  ParseResult::State::incomplete);
      }
    }
  }
}

TEST(RequestParserPieces, GiveTheSameAtEachPairOfCuts) {
  for (const std::string& sample : samples()) {
    RequestParser parser;
    const Outcome expected = testing::parse_once(parser, sample);
    for (std::size_t first = 0; first < sample.size(); ++first) {
      for (std::size_t second = first; second < sample.size(); ++second) {
        ASSERT_EQ(testing::parse_cut(parser, sample, {first, second}), expected);
      }
    }
  }
}

// The parser does not scan bytes again that it has checked. It resumes at progress.offset, and
// looks at no more than the last few bytes before it.
TEST(RequestParserPieces, KeepsItsPlaceSoThatBytesStayLinear) {
  const std::string text = "GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: a\r\n" +
                           std::string(4000, 'n') + ": " + std::string(8000, 'v') + "\r\n\r\n";
  for (const ScanPath path : kPaths) {
    RequestParser parser({}, path);
    ParseProgress progress;
    Request request;
    for (std::size_t length = 1; length < text.size(); ++length) {
      ASSERT_TRUE(parser.parse({text.data(), length}, progress, request).incomplete());
      ASSERT_GE(progress.offset + 10U, length);
      ASSERT_LE(progress.offset, length);
    }
    EXPECT_TRUE(parser.parse(text, progress, request).complete());
    EXPECT_TRUE(progress.fresh());
    EXPECT_EQ(request.fields.size(), 2U);
  }
}

TEST(RequestParserPieces, KeepsLittle) {
  EXPECT_LE(sizeof(ParseProgress), 16U);
  EXPECT_LE(sizeof(ParseResult), 16U);
}

// One parser serves many connections in turn.
TEST(RequestParserPieces, ServesManyConnectionsAtOnce) {
  RequestParser parser;
  std::vector<ParseProgress> progress(samples().size());
  std::vector<Outcome> outcomes(samples().size());
  for (std::size_t length = 1; length < 200; ++length) {
    for (std::size_t i = 0; i < samples().size(); ++i) {
      const std::string_view text = samples()[i];
      if (length > text.size()) continue;
      Request request;
      const ParseResult result = parser.parse(text.substr(0, length), progress[i], request);
      outcomes[i] = testing::outcome_of(result, request);
    }
  }
  for (std::size_t i = 0; i < samples().size(); ++i) {
    EXPECT_EQ(outcomes[i], testing::parse_once(parser, samples()[i]));
  }
}

TEST(RequestParserPieces, JudgesDamagedRequestsAlikeHoweverTheyCome) {
  constexpr auto kBytes = "\r\n\t :,;/*\0\x01\x7f\x80\xff#aZ09-._\"@[]%HTTP"sv;
  std::mt19937 random(20240229);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  int complete = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text = samples()[below(samples().size())];
    for (std::size_t edits = 1 + below(3); edits != 0; --edits) {
      const std::size_t at = below(text.size());
      const char byte = kBytes[below(kBytes.size())];
      const std::size_t kind = below(3);
      if (kind == 0) text[at] = byte;
      if (kind == 1) text.insert(at, 1, byte);
      if (kind == 2) text.erase(at, 1);
    }
    std::string differs;
    const Outcome outcome = parse_all_ways(text, differs);
    ASSERT_EQ(differs, "") << "round " << round << ":\n" << text;
    complete += outcome.state == ParseResult::State::complete ? 1 : 0;
  }
  EXPECT_GT(complete, 100);  // otherwise the damage was too great to test anything
}

// The parser has shortcuts for these common lines. A line with one byte changed, or in another
// case, must be parsed as if there were no shortcut. HTTP/1.0 requests show whether the parser saw
// keep-alive.
TEST(RequestParserPieces, KnowsItsCommonLinesToTheLastByte) {
  for (const std::string_view line : {"Connection: keep-alive\r\n"sv, "Host: a.example:80\r\n"sv}) {
    const std::string before =
        line[0] == 'H' ? "GET / HTTP/1.0\r\n" : "GET / HTTP/1.0\r\nHost: a\r\n";
    for (std::size_t at = 0; at < line.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed(line);
        changed[at] = static_cast<char>(byte);
        // The tail lets the shortcut read beyond the line. If the change hits the line's end, the
        // tail also makes it a longer line, which the shortcut does not know.
        const std::string text = before + changed + "X: y\r\n\r\n";
        RequestParser parser;
        const Outcome once = testing::parse_once(parser, text);
        ASSERT_EQ(testing::parse_bytewise(parser, text), once) << changed;
        RequestParser portable({}, ScanPath::portable);
        ASSERT_EQ(testing::parse_once(portable, text), once) << changed;
      }
    }
  }
}

TEST(RequestParserPieces, HearsKeepAliveInAnyCaseAndNothingElse) {
  const auto kept = [](std::string line) {
    const std::string text = "GET / HTTP/1.0\r\nHost: a\r\n" + std::move(line) + "\r\nX: y\r\n\r\n";
    RequestParser parser;
    ParseProgress progress;
    Request request;
    EXPECT_TRUE(parser.parse(text, progress, request).complete()) << text;
    EXPECT_EQ(request.fields.size(), 3U);
    return request.keep_alive;
  };
  const std::string line = "connection: keep-alive";
  for (std::uint32_t upper = 0; upper < 1U << 10U; ++upper) {
    std::string mixed = line;
    for (std::size_t i = 0; i < 10; ++i) {
      if ((upper >> i & 1U) == 0) continue;
      mixed[i] = static_cast<char>(mixed[i] & ~0x20);
      if (i != 4) mixed[12 + i] = static_cast<char>(mixed[12 + i] & ~0x20);
    }
    ASSERT_TRUE(kept(mixed)) << mixed;
  }
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] < 'a') continue;
    std::string other = line;
    other[at] = 'q';
    EXPECT_FALSE(kept(other)) << other;
  }
}

struct LimitCase {
  const char* name;
  Limits limits;
  std::string fits;
  std::string too_long;
  int status;
};

class RequestParserLimits : public ::testing::TestWithParam<LimitCase> {};

TEST_P(RequestParserLimits, TakeWhatFitsAndNoByteMore) {
  const LimitCase& param = GetParam();
  std::string differs;
  EXPECT_EQ(parse_all_ways(param.fits, differs, param.limits).state, ParseResult::State::complete);
  EXPECT_EQ(differs, "");
  const Outcome outcome = parse_all_ways(param.too_long, differs, param.limits);
  EXPECT_EQ(differs, "");
  EXPECT_EQ(outcome.state, ParseResult::State::error);
  EXPECT_EQ(outcome.status, param.status) << outcome;
}

std::string limit_name(const ::testing::TestParamInfo<LimitCase>& info) { return info.param.name; }

Limits line_limit(std::size_t bytes) {
  Limits limits;
  limits.request_line = bytes;
  return limits;
}
Limits header_limit(std::size_t bytes) {
  Limits limits;
  limits.header_bytes = bytes;
  return limits;
}
Limits field_limit(std::size_t count) {
  Limits limits;
  limits.fields = count;
  return limits;
}

INSTANTIATE_TEST_SUITE_P(
    All, RequestParserLimits,
    ::testing::Values(
        LimitCase{"Line", line_limit(30),
                  "GET /" + std::string(16, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET /" + std::string(17, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        LimitCase{"LineBehindEmptyLines", line_limit(30),
                  "\r\n\r\nGET /" + std::string(16, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
                  "\r\n\r\nGET /" + std::string(17, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        LimitCase{"EndlessTarget", line_limit(64), "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET /" + std::string(500, 'a'), 414},
        LimitCase{"EndlessMethod", line_limit(64), "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  std::string(500, 'M'), 501},
        LimitCase{"Header", header_limit(40),
                  "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(24, 'a') + "\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(25, 'a') + "\r\n\r\n", 431},
        LimitCase{"EndlessValue", header_limit(100), "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(500, 'a'), 431},
        LimitCase{"EndlessName", header_limit(100), "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(500, 'a'), 431},
        LimitCase{"Fields", field_limit(2), "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n", 431},
        LimitCase{"OddFields", field_limit(2), "GET / HTTP/1.1\r\nHost:a\r\nB_:c\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost:a\r\nB_:c\r\nD", 431},
        LimitCase{"NoFields", field_limit(0), "GET / HTTP/1.0\r\n\r\n",
                  "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 431}),
    limit_name);

TEST(RequestParserBounds, OfTheDesignHold) {
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 1; i < 100; ++i) many += "X-Field-" + std::to_string(i) + ": v\r\n";
  RequestParser parser;
  EXPECT_EQ(testing::parse_once(parser, many + "\r\n").state, ParseResult::State::complete);
  EXPECT_EQ(testing::parse_once(parser, many + "Y: z\r\n\r\n").status, 431);
  EXPECT_EQ(testing::parse_once(parser, "GET /" + std::string(2'000'000, 'a')).status, 414);
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  const std::string value(16384 - 9 - 3 - 4, 'v');
  EXPECT_EQ(testing::parse_once(parser, start + "X: " + value + "\r\n\r\n").state,
            ParseResult::State::complete);
  EXPECT_EQ(testing::parse_once(parser, start + "X: v" + value + "\r\n\r\n").status, 431);
}

// A server's buffer of max_head() bytes can't fill up with a request that is neither complete nor
// refused.
TEST(RequestParserBounds, BoundWhatAConnectionMustKeep) {
  Limits limits;
  limits.request_line = 50;
  limits.header_bytes = 60;
  RequestParser parser(limits);
  EXPECT_EQ(parser.max_head(), 4U + 52U + 60U);
  const std::string longest = "\r\n\r\nGET /" + std::string(36, 'a') +
                              " HTTP/1.1\r\nHost: a\r\nX: " + std::string(44, 'v') + "\r\n\r\n";
  ASSERT_EQ(longest.size(), parser.max_head());
  EXPECT_EQ(testing::parse_bytewise(parser, longest).state, ParseResult::State::complete);
  const std::string endless = longest.substr(0, longest.size() - 4) + "vvvv";
  EXPECT_EQ(testing::parse_bytewise(parser, endless).state, ParseResult::State::error);
}

}  // namespace
}  // namespace reactor::http
