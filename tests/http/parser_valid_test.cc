// SPDX-License-Identifier: MIT
// Requests that the parser accepts, and their meaning. Each of them is parsed with every cut and by
// both scan paths.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/http/outcomes.h"

namespace reactor::http {
namespace {

// Parses a complete request. The request's bytes live as long as this object.
class Parsed {
 public:
  explicit Parsed(std::string text, const Limits& limits = {})
      : text_(std::move(text)), parser_(limits) {
    std::string differs;
    testing::parse_all_ways(text_, differs, limits);
    EXPECT_EQ(differs, "");
    ParseProgress progress;
    const ParseResult result = parser_.parse(text_, progress, request_);
    EXPECT_TRUE(result.complete()) << result.status << ' ' << result.reason << '\n' << text_;
    EXPECT_EQ(result.consumed, text_.size());
    EXPECT_TRUE(progress.fresh());
  }
  const Request* operator->() const { return &request_; }
  const Request& operator*() const { return request_; }

 private:
  std::string text_;
  RequestParser parser_;
  Request request_;
};

std::string get(const std::string& fields) { return "GET / HTTP/1.1\r\n" + fields + "\r\n\r\n"; }
std::string get10(const std::string& fields) { return "GET / HTTP/1.0\r\n" + fields + "\r\n"; }

TEST(RequestParser, FindsAllPartsOfABenchmarkRequest) {
  const Parsed request(
      "GET /plaintext HTTP/1.1\r\nHost: tfb-server\r\n"
      "Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,"
      "*/*;q=0.7\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(request->method, Method::get);
  EXPECT_EQ(request->method_token, "GET");
  EXPECT_EQ(request->target, "/plaintext");
  EXPECT_EQ(request->form, TargetForm::origin);
  EXPECT_EQ(request->minor_version, 1);
  EXPECT_EQ(request->host, "tfb-server");
  ASSERT_EQ(request->fields.size(), 3U);
  EXPECT_EQ(request->fields[1].name, "Accept");
  EXPECT_EQ(request->fields[1].value.size(), 86U);
  EXPECT_EQ(request->fields[2].value, "keep-alive");
  EXPECT_TRUE(request->keep_alive);
  EXPECT_FALSE(request->has_body());
  EXPECT_FALSE(request->has_content_length);
  EXPECT_FALSE(request->expect_continue);
  EXPECT_EQ(request->upgrade, "");
}

TEST(RequestParser, UnderstandsWhatClientsSend) {
  const Parsed curl(
      "GET /a HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\n"
      "Accept: */*\r\n\r\n");
  EXPECT_EQ(curl->host, "127.0.0.1:8080");
  const Parsed ab(
      "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: localhost:1\r\n"
      "User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n");
  EXPECT_TRUE(ab->keep_alive);
  EXPECT_EQ(ab->minor_version, 0);
  const Parsed browser(
      "GET /x?y=%20z HTTP/1.1\r\nHost: www.example.com\r\nsec-ch-ua: \"Chromium\";v=\"118\"\r\n"
      "sec-ch-ua-mobile: ?0\r\nUpgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; "
      "Linux x86_64)\r\nSec-Fetch-Site: none\r\nAccept-Language: en,de;q=0.9\r\nCookie: a=b; c=d"
      "\r\n\r\n");
  EXPECT_EQ(browser->fields.size(), 8U);
  EXPECT_EQ(browser->field("cookie"), "a=b; c=d");
  EXPECT_EQ(browser->path(), "/x");
  EXPECT_EQ(browser->query(), "y=%20z");
  const Parsed telnet("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(telnet->fields.empty());
  EXPECT_EQ(telnet->host, "");
}

TEST(RequestParser, TakesAnyTokenAsMethod) {
  for (const std::string method : {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE",
                                   "PATCH", "get", "G", "GETS", "GE", "PROPFIND", "M-SEARCH",
                                   "!#$%&'*+-.^_`|~09azAZ", "A-VERY-LONG-METHOD-OF-MANY-OCTETS"}) {
    const Parsed request(method + " / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(request->method_token, method);
    EXPECT_EQ(to_string(request->method), to_method(method) == Method::other ? "" : method);
  }
}

TEST(RequestParser, KnowsTheFormsOfTargets) {
  const auto parsed = [](const std::string& start) {
    return Parsed(start + " HTTP/1.1\r\nHost: other\r\n\r\n");
  };
  EXPECT_EQ(parsed("OPTIONS *")->form, TargetForm::asterisk);
  EXPECT_EQ(parsed("CONNECT a.b:443")->form, TargetForm::authority);
  EXPECT_EQ(parsed("CONNECT [::1]:443")->form, TargetForm::authority);
  EXPECT_EQ(parsed("OPTIONS /")->form, TargetForm::origin);
  EXPECT_EQ(parsed("GET //a/b")->path(), "//a/b");
  const Parsed absolute = parsed("GET http://a.b:8080/x?y");
  EXPECT_EQ(absolute->form, TargetForm::absolute);
  EXPECT_EQ(absolute->host, "a.b:8080");
  EXPECT_EQ(absolute->path(), "/x");
  EXPECT_EQ(absolute->query(), "y");
  EXPECT_EQ(parsed("GET HTTPS://A")->host, "A");
  EXPECT_EQ(parsed("GET http://a")->path(), "/");
  EXPECT_EQ(parsed("GET http://a?q")->path(), "/");
  EXPECT_EQ(parsed("GET http://a?q")->query(), "q");
  EXPECT_EQ(parsed("GET /http://a/")->host, "other");
}

TEST(RequestParser, TakesTheCharactersOfUrisInTargets) {
  const std::string all = "/!$&'()*+,-./:;=?@[]_~%00%aF09azAZ";
  EXPECT_EQ(Parsed("GET " + all + " HTTP/1.1\r\nHost: a\r\n\r\n")->target, all);
  for (const char uncommon : std::string("!$~")) {
    for (std::size_t place = 0; place < 70; ++place) {
      const std::string target = "/" + std::string(place, 'a') + uncommon + "%20" + uncommon + "b";
      EXPECT_EQ(Parsed("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")->target, target);
    }
  }
  const std::string long_target = "/" + std::string(7999, 'a');
  EXPECT_EQ(Parsed("GET " + long_target + " HTTP/1.1\r\nHost: a\r\n\r\n")->target, long_target);
}

TEST(RequestParser, ReadsHigherMinorVersionsAs11) {
  for (char minor = '1'; minor <= '9'; ++minor) {
    const Parsed request(std::string("GET / HTTP/1.") + minor + "\r\nHost: a\r\n\r\n");
    EXPECT_EQ(request->minor_version, minor - '0');
    EXPECT_TRUE(request->keep_alive);
  }
}

TEST(RequestParser, SkipsTwoEmptyLines) {
  EXPECT_EQ(Parsed("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")->target, "/");
  EXPECT_EQ(Parsed("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")->target, "/");
}

TEST(RequestParser, TrimsValuesAndKeepsOddOnes) {
  const Parsed request(
      get("Host: a\r\nA:b\r\nC: \t d \t \r\nE:\r\nF: \r\nG:  h\r\nI: j \r\n"
          "K: \xc3\xa9\xff\r\nL: a\tb\r\nm_n: o\r\n!#$%&'*+-.^_`|~09: p\r\nQ: :"));
  const std::string_view values[] = {"a",    "b", "d", "", "", "h", "j", "\xc3\xa9\xff",
                                     "a\tb", "o", "p", ":"};
  ASSERT_EQ(request->fields.size(), std::size(values));
  for (std::size_t i = 0; i < std::size(values); ++i)
    EXPECT_EQ(request->fields[i].value, values[i]);
  EXPECT_EQ(request->fields[9].name, "m_n");
}

TEST(RequestParser, TakesNamesAndValuesOfAnyLength) {
  for (std::size_t length = 1; length < 70; ++length) {
    const std::string name(length, 'n');
    const std::string value(length, 'v');
    const Parsed request(get("Host: a\r\n" + name + ": " + value + "\r\n" + name + ":" + value));
    EXPECT_EQ(request->fields[1].name, name);
    EXPECT_EQ(request->fields[1].value, value);
    EXPECT_EQ(request->fields[2].value, value);
  }
}

TEST(RequestParser, TakesEachLegalHost) {
  for (const std::string host : {"",
                                 "a",
                                 "A-b.C",
                                 "a:",
                                 "a:0",
                                 "a:80",
                                 "a:65535",
                                 "1.2.3.4",
                                 "1.2.3.4:80",
                                 "[::]",
                                 "[::1]:80",
                                 "[1:2:3:4:5:6:7:8]",
                                 "[::1.2.3.4]",
                                 "[fe80::1:2]",
                                 "[1::]",
                                 "[1:2:3:4:5:6:1.2.3.4]",
                                 "a_b",
                                 "a~!$&'()*+,;=b",
                                 "%41%62:8080",
                                 "xn--a.b",
                                 "a.",
                                 "999.1",
                                 ":80",
                                 "a-host-name.that-is.longer-than.one-block.example.org:8080"}) {
    EXPECT_EQ(Parsed(get("Host: " + host))->host, host);
    EXPECT_EQ(Parsed(get10("Host: " + host + "\r\n"))->host, host);
  }
}

TEST(RequestParser, DecidesOnKeepAlive) {
  EXPECT_TRUE(Parsed(get("Host: a"))->keep_alive);
  EXPECT_TRUE(Parsed(get("Host: a\r\nConnection: Keep-Alive"))->keep_alive);
  EXPECT_FALSE(Parsed(get("Host: a\r\nConnection: close"))->keep_alive);
  EXPECT_FALSE(Parsed(get("Host: a\r\nCONNECTION: CLOSE"))->keep_alive);
  EXPECT_FALSE(Parsed(get("Host: a\r\nConnection: keep-alive, close"))->keep_alive);
  EXPECT_FALSE(Parsed(get("Host: a\r\nConnection: te ,\tclose\t,"))->keep_alive);
  EXPECT_FALSE(Parsed(get("Host: a\r\nConnection: keep-alive\r\nConnection: close"))->keep_alive);
  EXPECT_TRUE(Parsed(get("Host: a\r\nConnection: closed"))->keep_alive);
  EXPECT_TRUE(Parsed(get("Host: a\r\nConnection: not-close"))->keep_alive);
  EXPECT_TRUE(Parsed(get("Host: a\r\nConnection: \"close\""))->keep_alive);
  EXPECT_TRUE(Parsed(get("Host: a\r\nConnection:"))->keep_alive);
  EXPECT_TRUE(Parsed(get("Host: a\r\nKonnection: close"))->keep_alive);
  EXPECT_FALSE(Parsed(get10(""))->keep_alive);
  EXPECT_TRUE(Parsed(get10("Connection: keep-alive\r\n"))->keep_alive);
  EXPECT_TRUE(Parsed(get10("Connection: te, keep-alive\r\n"))->keep_alive);
  EXPECT_FALSE(Parsed(get10("Connection: keep-alives\r\n"))->keep_alive);
  EXPECT_FALSE(Parsed(get10("Connection: keep-alive, close\r\n"))->keep_alive);
}

TEST(RequestParser, ReadsTheFraming) {
  const Parsed length(get("Host: a\r\nContent-Length: 007"));
  EXPECT_TRUE(length->has_content_length);
  EXPECT_EQ(length->content_length, 7U);
  EXPECT_TRUE(length->has_body());
  const Parsed zero(get("Host: a\r\nCONTENT-LENGTH:0"));
  EXPECT_TRUE(zero->has_content_length);
  EXPECT_FALSE(zero->has_body());
  const Parsed limit(get("Host: a\r\nContent-Length: 1048576"));
  EXPECT_EQ(limit->content_length, 1048576U);
  const Parsed old(get10("Content-Length: 5\r\n"));
  EXPECT_EQ(old->content_length, 5U);
  for (const std::string coding :
       {"chunked", "Chunked", "CHUNKED", " chunked \t", ",chunked", "chunked,",
        " , ,\t, chunked ,, "}) {  // RFC 9110 section 5.6.1.2
    const Parsed chunked(get("Host: a\r\nTransfer-Encoding:" + coding));
    EXPECT_TRUE(chunked->chunked);
    EXPECT_TRUE(chunked->has_body());
    EXPECT_FALSE(chunked->has_content_length);
    EXPECT_EQ(chunked->content_length, 0U);
  }
  Limits limits;
  limits.body = 18446744073709551615U;
  const Parsed huge(get("Host: a\r\nContent-Length: 18446744073709551615"), limits);
  EXPECT_EQ(huge->content_length, limits.body);
}

TEST(RequestParser, ReadsExpect) {
  EXPECT_TRUE(Parsed(get("Host: a\r\nExpect: 100-continue"))->expect_continue);
  EXPECT_TRUE(Parsed(get("Host: a\r\nexpect: 100-Continue"))->expect_continue);
  EXPECT_FALSE(Parsed(get("Host: a\r\nExpect:"))->expect_continue);
  EXPECT_FALSE(Parsed(get("Host: a\r\nAccept: 100-continue"))->expect_continue);
  EXPECT_FALSE(Parsed(get10("Expect: 100-continue\r\n"))->expect_continue);
  EXPECT_FALSE(Parsed(get10("Expect: something\r\n"))->expect_continue);
}

TEST(RequestParser, ReadsUpgradeOnlyWhereConnectionNamesIt) {
  EXPECT_EQ(Parsed(get("Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket"))->upgrade,
            "websocket");
  EXPECT_EQ(
      Parsed(get("Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade"))->upgrade,
      "websocket");
  EXPECT_EQ(Parsed(get("Host: a\r\nUpgrade: websocket"))->upgrade, "");
  EXPECT_EQ(Parsed(get("Host: a\r\nConnection: Upgrade"))->upgrade, "");
  EXPECT_EQ(Parsed(get10("Connection: Upgrade\r\nUpgrade: x\r\n"))->upgrade, "");
}

// No fact of one request may show in the next one, which uses the same objects.
TEST(RequestParser, ForgetsTheRequestBefore) {
  RequestParser parser;
  Request request;
  ParseProgress progress;
  const std::string full =
      "POST http://x/y HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: u\r\n"
      "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  const std::string bare = "GET / HTTP/1.0\r\n\r\n";
  const std::string common = get("Host: b");
  const std::string asks = get("Host: c\r\nConnection: upgrade");
  for (const std::string& next : {bare, common, asks}) {
    ASSERT_TRUE(parser.parse(full, progress, request).complete());
    request.body = "12345";
    ASSERT_TRUE(parser.parse(next, progress, request).complete());
    Request fresh;
    RequestParser other;
    ASSERT_TRUE(other.parse(next, progress, fresh).complete());
    EXPECT_EQ(testing::describe(request), testing::describe(fresh));
    EXPECT_EQ(request.upgrade, "");
    EXPECT_FALSE(request.expect_continue);
    EXPECT_FALSE(request.has_content_length);
  }
}

TEST(Request, FindsFieldsInAnyCase) {
  const Parsed request(get("Host: a\r\nX-One: 1\r\nx-one: 2\r\nX-Empty:"));
  EXPECT_EQ(request->field("HOST"), "a");
  EXPECT_EQ(request->field("x-ONE"), "1");
  EXPECT_EQ(request->field("X-Empty"), "");
  EXPECT_EQ(request->field("X-On"), std::nullopt);
  EXPECT_EQ(request->field(""), std::nullopt);
}

}  // namespace
}  // namespace reactor::http
