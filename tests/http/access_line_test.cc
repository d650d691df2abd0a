// SPDX-License-Identifier: MIT
// The fields of a line of the access log.
#include <array>
#include <climits>
#include <string>
#include <utility>

#include "tests/http/access_test.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Format = AccessLog::Format;

class AccessLine : public AccessTest {};

// Sets the time zone TZ as long as the object lives.
class Zone {
 public:
  explicit Zone(const char* name) { ::setenv("TZ", name, 1), ::tzset(); }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;
  ~Zone() { ::unsetenv("TZ"), ::tzset(); }
};

// Returns the line without its time stamp, and the stamp with every digit replaced by 0 and every
// letter by A or a.
std::pair<std::string, std::string> split_stamp(std::string line, Format format) {
  const bool json = format == Format::json;
  const std::size_t begin = line.find(json ? "\"time\":\"" : "[") + (json ? 8 : 1);
  const std::size_t end = line.find(json ? '"' : ']', begin);
  std::string stamp = line.substr(begin, end - begin);
  line.erase(begin, end - begin);
  for (std::size_t i = 0; i + 6 < stamp.size(); ++i) {  // the zone stays as it is
    char& byte = stamp[i];
    if (byte >= '0' && byte <= '9') byte = '0';
    if (byte >= 'A' && byte <= 'Z') byte = 'A';
    if (byte >= 'a' && byte <= 'z') byte = 'a';
  }
  return {line, stamp};
}

// ---- Formats ----

TEST_P(AccessLine, Common) {
  const Zone zone("IST-5:30");
  const auto [line, stamp] = split_stamp(line_of(Format::common, entry()), Format::common);
  EXPECT_EQ(line, R"(192.0.2.7 - - [] "GET /a?b=c HTTP/1.1" 200 2326)");
  EXPECT_EQ(stamp, "00/Aaa/0000:00:00:00 +0530");
}

TEST_P(AccessLine, Combined) {
  const Zone zone("NST3:30");
  const auto [line, stamp] = split_stamp(line_of(Format::combined, entry()), Format::combined);
  EXPECT_EQ(line, R"(192.0.2.7 - - [] "GET /a?b=c HTTP/1.1" 200 2326 )"
                  R"("http://example.com/" "curl/8.0")");
  EXPECT_EQ(stamp, "00/Aaa/0000:00:00:00 -0330");
}

TEST_P(AccessLine, Json) {
  const Zone zone("NST3:30");
  const auto [line, stamp] = split_stamp(line_of(Format::json, entry()), Format::json);
  EXPECT_EQ(line, R"({"time":"","peer":"192.0.2.7","method":"GET","target":"/a?b=c",)"
                  R"("protocol":"HTTP/1.1","status":200,"octets":2326,)"
                  R"("referer":"http://example.com/","user_agent":"curl/8.0",)"
                  R"("seconds":1.000123,"reason":null})");
  EXPECT_EQ(stamp, "0000-00-00A00:00:00-03:30");
}

// Log tools expect the standard fields, so only a refusal adds its reason as a last field.
TEST_P(AccessLine, TheReasonOfARefusalIsTheLastField) {
  AccessLog::Entry refused = entry();
  refused.status = 400;
  refused.reason = "repeated \"Host\"";
  const std::string quoted = "\"repeated \\x22Host\\x22\"";
  EXPECT_TRUE(line_of(Format::common, refused).ends_with("\" 400 2326 " + quoted));
  EXPECT_TRUE(line_of(Format::combined, refused).ends_with("\" \"curl/8.0\" " + quoted));
  EXPECT_TRUE(
      line_of(Format::json, refused).ends_with(R"(,"reason":"repeated \u0022Host\u0022"})"));
}

TEST_P(AccessLine, WhatIsNotThere) {
  AccessLog::Entry nothing;
  nothing.status = 408;
  nothing.time = seconds(-1);
  EXPECT_EQ(split_stamp(line_of(Format::combined, nothing), Format::combined).first,
            R"(- - - [] "-" 408 - "-" "-")");
  EXPECT_EQ(split_stamp(line_of(Format::json, nothing), Format::json).first,
            R"({"time":"","peer":null,"method":null,"target":null,"protocol":null,"status":408,)"
            R"("octets":0,"referer":null,"user_agent":null,"seconds":0.000000,"reason":null})");
}

TEST_P(AccessLine, TheStampIsTheWallClocks) {
  const Zone zone("UTC0");
  ASSERT_TRUE(loop_.poll());
  const time_t before = ::time(nullptr);
  const std::string line = line_of(Format::json, entry());
  const time_t after = ::time(nullptr);
  const auto stamp_of = [](time_t when) {
    tm utc{};
    ::gmtime_r(&when, &utc);
    std::array<char, 32> text{};
    return std::string(text.data(), std::strftime(text.data(), text.size(), "%FT%T+00:00", &utc));
  };
  const std::string stamp = line.substr(9, 25);
  EXPECT_GE(stamp, stamp_of(before - 1));
  EXPECT_LE(stamp, stamp_of(after));
}

TEST_P(AccessLine, TheStampMovesOn) {
  const std::unique_ptr<AccessLog> log = open(Format::json);
  log->add(entry());
  static_cast<void>(run_for(loop_, milliseconds(1100)));
  log->add(entry());
  log->flush();
  const std::string text = content(path_);
  EXPECT_NE(text.substr(9, 25), text.substr(text.find('\n') + 10, 25));
}

TEST_P(AccessLine, Peers) {
  const auto peer_in = [this](Format format, const AccessLog::Entry& entry) {
    const std::string line = line_of(format, entry);
    if (format != Format::json) return line.substr(0, line.find(' '));
    const std::size_t begin = line.find("\"peer\":") + 7;
    return line.substr(begin, line.find(",\"method\"") - begin);
  };
  for (const auto& [address, host] :
       {std::pair{"255.0.10.199:1", "255.0.10.199"}, std::pair{"[2001:db8::1]:80", "2001:db8::1"},
        std::pair{"[::ffff:192.0.2.9]:80", "192.0.2.9"}, std::pair{"unix:/tmp/x", "unix:/tmp/x"},
        std::pair{"unix:@x", "unix:"}}) {
    address_ = get(Address::parse(address));
    EXPECT_EQ(peer_in(Format::common, entry()), host);
    EXPECT_EQ(peer_in(Format::json, entry()), '"' + std::string(host) + '"');
  }
  address_ = Address();
  EXPECT_EQ(peer_in(Format::common, entry()), "-");
  EXPECT_EQ(peer_in(Format::json, entry()), "null");
  AccessLog::Entry named = entry();
  named.peer_text = "a\"b\n";
  EXPECT_EQ(peer_in(Format::common, named), R"(a\x22b\x0A)");
  EXPECT_EQ(peer_in(Format::json, named), R"("a\u0022b\u000A")");
  named.peer_text = "two words";
  EXPECT_EQ(peer_in(Format::common, named), "-");
  EXPECT_EQ(peer_in(Format::json, named), R"("two words")");
}

TEST_P(AccessLine, HttpVersion) {
  AccessLog::Entry old = entry();
  old.minor_version = 0;
  EXPECT_NE(line_of(Format::common, old).find("\"GET /a?b=c HTTP/1.0\""), std::string::npos);
  EXPECT_NE(line_of(Format::json, old).find(R"("protocol":"HTTP/1.0")"), std::string::npos);
}

// ---- Escaping and length ----

TEST_P(AccessLine, EveryByteOfAPeerIsHarmless) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  AccessLog::Entry hostile = entry();
  std::string escaped, json;
  std::array<char, 8> text{};
  for (int byte = 0; byte < 256; ++byte) {
    const bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
    const auto add = [&](std::string& to, const char* format) {
      std::snprintf(text.data(), text.size(), plain ? "%c" : format, byte);
      to += text.data();
    };
    add(escaped, "\\x%02X");
    add(json, "\\u%04X");
  }
  hostile.referer = all;
  std::string line = line_of(Format::combined, hostile);
  EXPECT_NE(line.find(" 2326 \"" + escaped + "\" \"curl"), std::string::npos) << line;
  line = line_of(Format::json, hostile);
  // The escaped text is longer than a referer field may be, so only its beginning is compared.
  EXPECT_NE(line.find("\"referer\":\"" + json.substr(0, 500)), std::string::npos) << line;
}

TEST_P(AccessLine, NoTextMakesALineOfItsOwn) {
  const std::string forged = "x\" 200 1\n127.0.0.1 - - [] \"GET /forged\r\n\\";
  for (const Format format : {Format::common, Format::combined, Format::json}) {
    AccessLog::Entry hostile = entry();
    hostile.peer_text = hostile.method_token = hostile.target = forged;
    hostile.referer = hostile.user_agent = forged;
    const std::string line = line_of(format, hostile);  // this checks that it is a single line
    EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos);
    if (format == Format::json) continue;
    EXPECT_EQ(std::count(line.begin(), line.end(), '"'), format == Format::common ? 2 : 6) << line;
  }
}

TEST_P(AccessLine, LongTextsAreCutAndSoIsTheLine) {
  for (const std::string& text :
       {std::string(20'000, 'x'), std::string(20'000, '\xff'), std::string(20'000, '"')}) {
    for (const Format format : {Format::common, Format::combined, Format::json}) {
      AccessLog::Entry longest = entry();
      longest.peer_text = longest.method_token = longest.target = text;
      longest.referer = longest.user_agent = longest.reason = text;
      longest.bytes = UINT64_MAX;
      longest.status = INT_MAX;
      longest.time = Duration::max();
      const std::string line = line_of(format, longest);
      EXPECT_LT(line.size(), 4096U);
      EXPECT_GT(line.size(), 2048U);
      EXPECT_NE(line.find("... HTTP/1.1\" 999 18446744073709551615") != std::string::npos,
                format == Format::json);
    }
  }
}

TEST_P(AccessLine, ACutTextIsAPrefix) {
  AccessLog::Entry longer = entry();
  for (const std::size_t size : {2045U, 2046U}) {
    const std::string target(size, 'y');
    longer.target = target;
    const std::string line = line_of(Format::common, longer);
    const std::string expected = size == 2045 ? target : target.substr(0, 2045) + "...";
    EXPECT_NE(line.find("\"GET " + expected + " HTTP/1.1\""), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AccessLine, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
