// SPDX-License-Identifier: MIT
// Requests that the parser refuses, with the status, by section of RFC 9112. Each of them is parsed
// with every cut and by both scan paths.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/http/outcomes.h"

namespace reactor::http {
namespace {

using namespace std::string_literals;

struct Case {
  const char* name;
  std::string text;
  int status;
};

class Refused : public ::testing::TestWithParam<Case> {};

TEST_P(Refused, WithItsStatus) {
  std::string differs;
  const testing::Outcome outcome = testing::parse_all_ways(GetParam().text, differs);
  EXPECT_EQ(differs, "");
  ASSERT_EQ(outcome.state, ParseResult::State::error) << outcome;
  EXPECT_EQ(outcome.status, GetParam().status) << outcome;
  EXPECT_NE(outcome.reason, "");
  const bool whole = outcome.consumed == ParseResult::kWhole;
  EXPECT_TRUE(whole || outcome.consumed <= GetParam().text.size()) << outcome;
}

// The last byte of each text is wrong. The parser must refuse it there, although the head has not
// ended.
class RefusedAtOnce : public ::testing::TestWithParam<Case> {};

TEST_P(RefusedAtOnce, ByTheByteThatIsWrong) {
  const std::string& text = GetParam().text;
  for (const ScanPath path : {ScanPath::native, ScanPath::portable}) {
    RequestParser parser({}, path);
    EXPECT_EQ(testing::parse_once(parser, text.substr(0, text.size() - 1)).state,
              ParseResult::State::incomplete);
    const testing::Outcome outcome = testing::parse_once(parser, text);
    EXPECT_EQ(outcome.state, ParseResult::State::error);
    EXPECT_EQ(outcome.status, GetParam().status) << outcome;
    const std::size_t wrong = outcome.status == 505 ? text.find("2.0") : text.size() - 1;
    EXPECT_EQ(outcome.consumed, wrong) << outcome;
    EXPECT_EQ(testing::parse_bytewise(parser, text), outcome);
  }
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

std::string with_line(const std::string& line) { return line + "\r\nHost: a\r\n\r\n"; }
std::string with_target(const std::string& target) {
  return with_line("GET " + target + " HTTP/1.1");
}
std::string with_version(const std::string& version) { return with_line("GET / " + version); }
std::string with_fields(const std::string& fields) {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n";
}
std::string with_host(const std::string& host) {
  return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n";
}

INSTANTIATE_TEST_SUITE_P(
    RequestLine, Refused,  // section 3
    ::testing::Values(Case{"Http09", "GET /\r\n\r\n", 400},
                      Case{"NoTarget", with_line("GET HTTP/1.1"), 400},
                      Case{"OnlyMethod", with_line("GET"), 400},
                      Case{"TwoBlanksBeforeTarget", with_line("GET  / HTTP/1.1"), 400},
                      Case{"TwoBlanksBeforeVersion", with_line("GET /  HTTP/1.1"), 400},
                      Case{"TabBeforeTarget", with_line("GET\t/ HTTP/1.1"), 400},
                      Case{"TabBeforeVersion", with_line("GET /\tHTTP/1.1"), 400},
                      Case{"BlankBehindVersion", with_line("GET / HTTP/1.1 "), 400},
                      Case{"TextBehindVersion", with_line("GET / HTTP/1.1 x"), 400},
                      Case{"LeadingBlank", with_line(" GET / HTTP/1.1"), 400},
                      Case{"BareLf", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
                      Case{"BareLfEverywhere", "GET / HTTP/1.1\nHost: a\n\n", 400},
                      Case{"CrOnly", "GET / HTTP/1.1\rHost: a\r\r", 400},
                      Case{"CrCrLf", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
                      Case{"BareLfBefore", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                      Case{"BareCrBefore", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
                      Case{"ThreeEmptyLinesBefore", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
                           400},
                      Case{"NulBefore", "\0GET / HTTP/1.1\r\nHost: a\r\n\r\n"s, 400},
                      Case{"TlsHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
                      Case{"Response", "HTTP/1.1 200 OK\r\n\r\n", 400},
                      Case{"EmptyMethod", with_line(" / HTTP/1.1"), 400},
                      Case{"SlashInMethod", with_line("GE/T / HTTP/1.1"), 400},
                      Case{"ColonInMethod", with_line("GET: / HTTP/1.1"), 400},
                      Case{"CommaInMethod", with_line("G,ET / HTTP/1.1"), 400},
                      Case{"QuoteInMethod", with_line("\"GET\" / HTTP/1.1"), 400},
                      Case{"ByteOrderMark", "\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Version, Refused,  // section 2.3; the HTTP/2 preface is of RFC 9113 section 3.4
    ::testing::Values(
        Case{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        Case{"Major2", with_version("HTTP/2.0"), 505},
        Case{"Major0", with_version("HTTP/0.9"), 505},
        Case{"Major9", with_version("HTTP/9.9"), 505}, Case{"Short", with_version("HTTP/2"), 400},
        Case{"NoMinor", with_version("HTTP/1."), 400}, Case{"NoDot", with_version("HTTP/11"), 400},
        Case{"TwoDigitMinor", with_version("HTTP/1.10"), 400},
        Case{"TwoDigitMajor", with_version("HTTP/11.1"), 400},
        Case{"LeadingZero", with_version("HTTP/01.1"), 400},
        Case{"Lower", with_version("http/1.1"), 400}, Case{"Mixed", with_version("Http/1.1"), 400},
        Case{"OtherName", with_version("HTP/1.1"), 400},
        Case{"Signed", with_version("HTTP/+1.1"), 400},
        Case{"Letter", with_version("HTTP/1.x"), 400},
        Case{"Blank", with_version("HTTP/1. 1"), 400}, Case{"Comma", with_version("HTTP/1,1"), 400},
        Case{"Longer", with_version("HTTP/1.1.1"), 400},
        Case{"BlankInside", with_version("HTTP /1.1"), 400},
        Case{"Major2Malformed", with_version("HTTP/2.0x"), 400}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Target, Refused,  // section 3.2
    ::testing::Values(
        Case{"Asterisk", with_target("*"), 400},
        Case{"AsteriskAndMore", with_line("OPTIONS *x HTTP/1.1"), 400},
        Case{"Authority", with_target("a:80"), 400},
        Case{"Relative", with_target("index.html"), 400}, Case{"Query", with_target("?a=b"), 400},
        Case{"Fragment", with_target("/#a"), 400}, Case{"Nul", with_target("/a\0b"s), 400},
        Case{"Control", with_target("/a\x01"), 400}, Case{"Del", with_target("/a\x7f"), 400},
        Case{"RawUtf8", with_target("/\xc3\xa9"), 400}, Case{"RawFf", with_target("/\xff"), 400},
        Case{"BareLf", with_target("/a\nb"), 400}, Case{"BareCr", with_target("/a\rb"), 400},
        Case{"BareCrLf", with_target("/a\r\nb"), 400},
        Case{"LateControl", with_target("/" + std::string(60, 'a') + "\x1f" + std::string(60, 'a')),
             400},
        Case{"LateUtf8", with_target("/" + std::string(77, 'a') + "\xe2\x82\xac"), 400},
        Case{"Quote", with_target("/a\"b"), 400}, Case{"Less", with_target("/<"), 400},
        Case{"Greater", with_target("/a?b>c"), 400}, Case{"Backslash", with_target("/a\\b"), 400},
        Case{"Caret", with_target("/a?b^c"), 400}, Case{"Backquote", with_target("/`"), 400},
        Case{"OpenBrace", with_target("/{a"), 400}, Case{"CloseBrace", with_target("/a}"), 400},
        Case{"Bar", with_target("/?a|b"), 400}, Case{"Percent", with_target("/%"), 400},
        Case{"PercentOneDigit", with_target("/%2"), 400},
        Case{"PercentNoDigit", with_target("/a%zz"), 400},
        Case{"PercentOneOfTwo", with_target("/a%2z"), 400},
        Case{"PercentTwice", with_target("/%%20"), 400},
        Case{"PercentLate", with_target("/" + std::string(60, 'a') + "?%20%2"), 400},
        Case{"BarInAbsolute", with_target("http://a/|"), 400},
        Case{"BarInAuthority", with_line("CONNECT a|b:80 HTTP/1.1"), 400},
        Case{"OtherScheme", with_target("ftp://a/"), 400},
        Case{"EmptyAuthority", with_target("http:///x"), 400},
        Case{"OnlyPort", with_target("http://:80/"), 400},
        Case{"OneSlash", with_target("http:/a"), 400},
        Case{"OnlyScheme", with_target("http://"), 400},
        Case{"UserInfo", with_target("http://u@a/"), 400},
        Case{"BadPort", with_target("http://a:x/"), 400},
        Case{"BadAuthority", with_target("http://a^b/"), 400},
        Case{"ConnectOrigin", with_line("CONNECT /x HTTP/1.1"), 400},
        Case{"ConnectNoPort", with_line("CONNECT a HTTP/1.1"), 400},
        Case{"ConnectEmptyPort", with_line("CONNECT a: HTTP/1.1"), 400},
        Case{"ConnectNoHost", with_line("CONNECT :80 HTTP/1.1"), 400},
        Case{"ConnectAbsolute", with_line("CONNECT http://a/ HTTP/1.1"), 400},
        Case{"ConnectAsterisk", with_line("CONNECT * HTTP/1.1"), 400}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Fields, Refused,  // section 5 and RFC 9110 sections 5.1, 5.5
    ::testing::Values(
        Case{"BlankBeforeColon", with_fields("X : a"), 400},
        Case{"TabBeforeColon", with_fields("X\t: a"), 400},
        Case{"BlankInName", with_fields("X Y: a"), 400}, Case{"NoColon", with_fields("XY"), 400},
        Case{"EmptyName", with_fields(": a"), 400}, Case{"EmptyNameOnly", with_fields(":"), 400},
        Case{"Fold", with_fields("X: a\r\n b"), 400},
        Case{"FoldTab", with_fields("X: a\r\n\tb"), 400},
        Case{"FoldEmpty", with_fields("X: a\r\n "), 400},
        Case{"FoldBehindHost", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400},
        Case{"BlankBeforeFirst", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
        Case{"FoldBeforeFirst", "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400},
        Case{"BareLf", with_fields("X: a\nY: b"), 400}, Case{"BareCr", with_fields("X: a\rb"), 400},
        Case{"CrAtEnd", with_fields("X: a\r"), 400}, Case{"Nul", with_fields("X: a\0b"s), 400},
        Case{"NulInName", with_fields("X\0: a"s), 400},
        Case{"Control", with_fields("X: \x01"), 400},
        Case{"VerticalTab", with_fields("X: \v"), 400},
        Case{"FormFeed", with_fields("X: a\f"), 400}, Case{"Del", with_fields("X: a\x7f"), 400},
        Case{"DelInName", with_fields("X\x7f: a"), 400},
        Case{"Utf8Name", with_fields("X\xc3\xa9: a"), 400},
        Case{"SlashInName", with_fields("X/Y: a"), 400},
        Case{"ParenInName", with_fields("X(): a"), 400},
        Case{"QuoteInName", with_fields("\"X\": a"), 400},
        Case{"BracketInName", with_fields("[X]: a"), 400},
        Case{"AtInName", with_fields("X@: a"), 400},
        Case{"CommaInName", with_fields("X,Y: a"), 400},
        Case{"SemicolonInName", with_fields("X;: a"), 400},
        Case{"CrInName", with_fields("X\rY: a"), 400},
        Case{"LfInName", with_fields("X\nY: a"), 400},
        Case{"LateNul", with_fields("X: " + std::string(70, 'a') + '\0' + std::string(70, 'a')),
             400},
        Case{"LateControl", with_fields("X: \xc3\xa9" + std::string(70, 'a') + "\x02"), 400},
        Case{"LongNameSlash", with_fields(std::string(40, 'n') + "/: a"), 400},
        Case{"EndsWithLf", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
        Case{"EndsWithCrX", "GET / HTTP/1.1\r\nHost: a\r\n\rX", 400},
        Case{"LineEndsWithLf", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Host, Refused,  // section 3.2, RFC 3986 section 3.2.2
    ::testing::Values(
        Case{"Missing", "GET / HTTP/1.1\r\n\r\n", 400},
        Case{"MissingIn19", "GET / HTTP/1.9\r\nX: y\r\n\r\n", 400},
        Case{"MissingWithAbsolute", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
        Case{"Twice", with_fields("Host: a"), 400}, Case{"TwiceOther", with_fields("host: b"), 400},
        Case{"TwiceEmpty", with_fields("HOST:"), 400},
        Case{"ThreeTimes", with_fields("Host: a\r\nHost: a"), 400},
        Case{"TwiceIn10", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        Case{"MalformedIn10", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", 400},
        Case{"TwiceWithAbsolute", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        Case{"MalformedWithAbsolute", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        Case{"Slash", with_host("a/b"), 400}, Case{"Url", with_host("http://a"), 400},
        Case{"Blank", with_host("a b"), 400}, Case{"List", with_host("a, b"), 400},
        Case{"UserInfo", with_host("u@a"), 400}, Case{"Hash", with_host("a#"), 400},
        Case{"Query", with_host("a?b"), 400}, Case{"Backslash", with_host("a\\b"), 400},
        Case{"Quote", with_host("\"a\""), 400}, Case{"Caret", with_host("a^"), 400},
        Case{"Brace", with_host("{a}"), 400}, Case{"Utf8", with_host("\xc3\xa9"), 400},
        Case{"Percent", with_host("a%"), 400}, Case{"PercentX", with_host("a%4x"), 400},
        Case{"PortLetters", with_host("a:b"), 400}, Case{"PortSign", with_host("a:+80"), 400},
        Case{"PortTooBig", with_host("a:65536"), 400},
        Case{"PortHuge", with_host("a:99999999999999999999"), 400},
        Case{"PortBlank", with_host("a: 80"), 400}, Case{"TwoPorts", with_host("a:80:80"), 400},
        Case{"PortShortLetters", with_host("a:8x"), 400}, Case{"Tab", with_host("a\tb"), 400},
        Case{"BareV6", with_host("::1"), 400}, Case{"OpenV6", with_host("[::1"), 400},
        Case{"EmptyV6", with_host("[]"), 400}, Case{"BadV6", with_host("[g::]"), 400},
        Case{"GapOfNothingV6", with_host("[1:2:3:4::5:6:7:8]"), 400},
        Case{"LongV6", with_host("[1:2:3:4:5:6:7:8:9]"), 400},
        Case{"ShortV6", with_host("[1:2:3]"), 400}, Case{"TwoGapsV6", with_host("[1::2::3]"), 400},
        Case{"ZoneV6", with_host("[fe80::1%25lo]"), 400},
        Case{"TextBehindV6", with_host("[::1]x"), 400},
        Case{"V4InV6Bad", with_host("[::1.2.3]"), 400},
        Case{"V4InV6Early", with_host("[1.2.3.4::]"), 400}, Case{"ColonV6", with_host("[1:]"), 400},
        Case{"Future", with_host("[v1.a]"), 400}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    ContentLength, Refused,  // section 6.2, RFC 9110 section 8.6
    ::testing::Values(
        Case{"Empty", with_fields("Content-Length:"), 400},
        Case{"Blank", with_fields("Content-Length:  "), 400},
        Case{"Negative", with_fields("Content-Length: -1"), 400},
        Case{"Plus", with_fields("Content-Length: +1"), 400},
        Case{"Hex", with_fields("Content-Length: 0x10"), 400},
        Case{"Letters", with_fields("Content-Length: abc"), 400},
        Case{"Trailing", with_fields("Content-Length: 1a"), 400},
        Case{"Dot", with_fields("Content-Length: 1.0"), 400},
        Case{"Exponent", with_fields("Content-Length: 1e1"), 400},
        Case{"Underscore", with_fields("Content-Length: 1_0"), 400},
        Case{"TwoNumbers", with_fields("Content-Length: 1 1"), 400},
        Case{"List", with_fields("Content-Length: 5, 5"), 400},
        Case{"ListNoBlank", with_fields("Content-Length: 5,5"), 400},
        Case{"Quoted", with_fields("Content-Length: \"5\""), 400},
        Case{"Twice", with_fields("Content-Length: 5\r\nContent-Length: 5"), 400},
        Case{"TwiceOther", with_fields("Content-Length: 5\r\ncontent-length: 6"), 400},
        Case{"TwiceFirstBad", with_fields("Content-Length: x\r\nContent-Length: 6"), 400},
        Case{"Overflow64", with_fields("Content-Length: 18446744073709551616"), 400},
        Case{"Overflow64And1", with_fields("Content-Length: 18446744073709551617"), 400},
        Case{"Overflow", with_fields("Content-Length: 99999999999999999999999999"), 400},
        Case{"ArabicDigits", with_fields("Content-Length: \xd9\xa1"), 400},
        Case{"NonBreakingBlank",
             with_fields("Content-Length: \xa0"
                         "1"),
             400},
        Case{"Max64", with_fields("Content-Length: 18446744073709551615"), 413},
        Case{"OneTooMany", with_fields("Content-Length: 1048577"), 413}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    TransferEncoding, Refused,  // sections 6.1, 6.3, 7
    ::testing::Values(
        Case{"WithLength", with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400},
        Case{"WithLengthBehind", with_fields("Transfer-Encoding: chunked\r\nContent-Length: 5"),
             400},
        Case{"WithLengthZero", with_fields("transfer-encoding: chunked\r\ncontent-length: 0"), 400},
        Case{"OtherWithLength",
             with_fields("Transfer-Encoding: gzip, chunked\r\nContent-Length: 5"), 400},
        Case{"In10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        Case{"Empty", with_fields("Transfer-Encoding:"), 400},
        Case{"Identity", with_fields("Transfer-Encoding: identity"), 400},
        Case{"Gzip", with_fields("Transfer-Encoding: gzip"), 400},
        Case{"XChunked", with_fields("Transfer-Encoding: xchunked"), 400},
        Case{"ChunkedX", with_fields("Transfer-Encoding: chunkedx"), 400},
        Case{"Chunk", with_fields("Transfer-Encoding: chunke"), 400},
        Case{"NotLast", with_fields("Transfer-Encoding: chunked, gzip"), 400},
        Case{"Twice", with_fields("Transfer-Encoding: chunked, chunked"), 400},
        Case{"TwoFields", with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
             400},
        Case{"NotLastOfTwo", with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip"),
             400},
        Case{"IdentityBehind",
             with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), 400},
        Case{"OnlyCommas", with_fields("Transfer-Encoding: , ,"), 400},
        Case{"Parameter", with_fields("Transfer-Encoding: chunked;q=1"), 400},
        Case{"ParameterOfTheFirst", with_fields("Transfer-Encoding: chunked;q=1, chunked"), 400},
        Case{"NoParameter", with_fields("Transfer-Encoding: foo;, chunked"), 400},
        Case{"NoValue", with_fields("Transfer-Encoding: foo;a, chunked"), 400},
        Case{"EmptyValue", with_fields("Transfer-Encoding: foo;a=, chunked"), 400},
        Case{"OnlyParameter", with_fields("Transfer-Encoding: ;a=b, chunked"), 400},
        Case{"OpenQuote", with_fields("Transfer-Encoding: foo;a=\"b, chunked"), 400},
        Case{"TextBehindQuote", with_fields("Transfer-Encoding: foo;a=\"b\"c, chunked"), 400},
        Case{"ChunkedInQuotes", with_fields("Transfer-Encoding: foo;a=\", chunked\""), 400},
        Case{"Quoted", with_fields("Transfer-Encoding: \"chunked\""), 400},
        Case{"Single", with_fields("Transfer-Encoding: 'chunked'"), 400},
        Case{"VerticalTab", with_fields("Transfer-Encoding: \vchunked"), 400},
        Case{"FormFeed", with_fields("Transfer-Encoding: chunked\f"), 400},
        Case{"Nul", with_fields("Transfer-Encoding: chunked\0"s), 400},
        Case{"Nbsp",
             with_fields("Transfer-Encoding: \xa0"
                         "chunked"),
             400},
        Case{"BlankInside", with_fields("Transfer-Encoding: chun ked"), 400},
        Case{"TwoWords", with_fields("Transfer-Encoding: gzip chunked"), 400},
        Case{"Fold", with_fields("Transfer-Encoding:\r\n chunked"), 400},
        Case{"BlankBeforeColon", with_fields("Transfer-Encoding : chunked"), 400},
        Case{"GzipChunked", with_fields("Transfer-Encoding: gzip, chunked"), 501},
        Case{"GzipThenChunked",
             with_fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), 501},
        Case{"IdentityChunked", with_fields("Transfer-Encoding: identity, chunked"), 501},
        Case{"ParameterChunked", with_fields("Transfer-Encoding: foo;a=b, chunked"), 501},
        Case{"ParametersChunked",
             with_fields("Transfer-Encoding: foo ; a = b;c=\"d, \\\"e\" ,, chunked"), 501},
        Case{"NotLastWithParameter", with_fields("Transfer-Encoding: chunked, foo;a=b"), 400}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Expect, Refused,  // RFC 9110 section 10.1.1
    ::testing::Values(Case{"Other", with_fields("Expect: 200-ok"), 417},
                      Case{"Longer", with_fields("Expect: 100-continued"), 417},
                      Case{"OneOfTwo", with_fields("Expect: 100-continue, x"), 417},
                      Case{"TwoFields", with_fields("Expect: x\r\nExpect: 100-continue"), 417}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Bytes, RefusedAtOnce,
    ::testing::Values(
        Case{"Method", "GE(", 400}, Case{"FirstByte", "\x16", 400}, Case{"LfBefore", "\n", 400},
        Case{"CrX", "\rG", 400}, Case{"TargetControl", "GET /\x01", 400},
        Case{"TargetUtf8", "GET /abcdefghijklmnopqrstuvwxyz\xc3", 400},
        Case{"TargetBar", "GET /a|", 400}, Case{"TripletFirst", "GET /%g", 400},
        Case{"TripletSecond", "GET /%2g", 400}, Case{"TripletBlank", "GET /%2 ", 400},
        Case{"NoVersion", "GET /\r", 400}, Case{"EmptyTarget", "GET  ", 400},
        Case{"VersionName", "GET / HTTQ", 400}, Case{"VersionEnd", "GET / HTTP/1.1\n", 400},
        Case{"VersionCr", "GET / HTTP/1.1\rX", 400}, Case{"Major", "GET / HTTP/2.0\r\n", 505},
        Case{"Fold", "GET / HTTP/1.1\r\n ", 400}, Case{"Name", "GET / HTTP/1.1\r\nHo/", 400},
        Case{"Colon", "GET / HTTP/1.1\r\n:", 400},
        Case{"NameBlank", "GET / HTTP/1.1\r\nHost ", 400},
        Case{"NameEnd", "GET / HTTP/1.1\r\nHost\r", 400},
        Case{"Value", "GET / HTTP/1.1\r\nHost: a\x02", 400},
        Case{"ValueLf", "GET / HTTP/1.1\r\nHost: a\n", 400},
        Case{"ValueCr", "GET / HTTP/1.1\r\nHost: a\rb", 400},
        Case{"End", "GET / HTTP/1.1\r\nHost: a\r\n\rb", 400},
        Case{"EndLf", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400}),
    name_of);

}  // namespace
}  // namespace reactor::http
