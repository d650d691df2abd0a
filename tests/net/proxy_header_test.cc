// SPDX-License-Identifier: MIT
#include "reactor/net/internal/proxy_header.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/proxy_headers.h"

namespace reactor {
namespace {

using State = ProxyHeaderParser::State;

constexpr std::string_view kLocal = "local";
constexpr std::string_view kBad = "bad";
constexpr std::string_view kMore = "more";

// ReadHeader is the result of the parser as text, and the number of bytes that it consumed.
struct ReadHeader {
  std::string text;
  std::size_t consumed = 0;
  bool operator==(const ReadHeader&) const = default;
};

std::string text_of(const ProxyHeaderParser& parser, State state) {
  if (state == State::more) return std::string(kMore);
  if (state == State::bad) return std::string(kBad);
  if (!parser.addresses()) return std::string(kLocal);
  return parser.addresses()->source.to_string() + " " + parser.addresses()->destination.to_string();
}

// Parses `text` in pieces that end at `cuts`. Each piece has memory of exactly its size, so that a
// sanitizer reports reads beyond it.
ReadHeader parse(std::string_view text, ProxyProtocol protocol,
                 const std::vector<std::size_t>& cuts = {}) {
  ProxyHeaderParser parser(protocol);
  ReadHeader outcome;
  State state = State::more;
  std::vector<std::size_t> ends = cuts;
  ends.push_back(text.size());
  for (const std::size_t end : ends) {
    const std::string_view piece = text.substr(outcome.consumed, end - outcome.consumed);
    const std::vector<char> exact(piece.begin(), piece.end());
    const auto step = parser.next(std::as_bytes(std::span(exact)));
    outcome.consumed += step.consumed;
    state = step.state;
    if (state != State::more) break;
    EXPECT_EQ(step.consumed, piece.size()) << "an unfinished header is taken as a whole";
  }
  if (state != State::more) {
    const auto again = parser.next(std::as_bytes(std::span("PROXY")));
    EXPECT_EQ(again.consumed, 0U);
    EXPECT_EQ(again.state, state);
  }
  outcome.text = text_of(parser, state);
  if (state == State::bad) outcome.consumed = 0;
  return outcome;
}

struct Case {
  std::string_view name;
  std::string header;
  std::string_view expected;
};

class ProxyHeaders : public ::testing::TestWithParam<Case> {};

ProxyProtocol version_of(const std::string& header) {
  return header[0] == 'P' ? ProxyProtocol::v1 : ProxyProtocol::v2;
}

TEST_P(ProxyHeaders, AreTheSameHoweverTheyAreCut) {
  const auto& [name, header, expected] = GetParam();
  const ReadHeader whole = parse(header, version_of(header));
  EXPECT_EQ(whole.text, expected);
  std::vector<std::size_t> cuts;
  for (std::size_t cut = 1; cut < header.size(); ++cut) {
    EXPECT_EQ(parse(header, version_of(header), {cut}), whole) << "cut at " << cut;
    cuts.push_back(cut);
  }
  EXPECT_EQ(parse(header, version_of(header), cuts), whole) << "byte by byte";
}

TEST_P(ProxyHeaders, EndWhereTheyEnd) {
  const auto& [name, header, expected] = GetParam();
  if (expected == kBad || expected == kMore) return;
  for (const ProxyProtocol protocol : {version_of(header), ProxyProtocol::either}) {
    EXPECT_EQ(parse(header + "GET / HTTP/1.1\r\n\r\n", protocol),
              (ReadHeader{std::string(expected), header.size()}));
  }
  for (std::size_t part = 0; part < header.size(); ++part) {
    EXPECT_EQ(parse(header.substr(0, part), version_of(header)).text, kMore) << part;
  }
}

TEST_P(ProxyHeaders, AreRefusedInTheOtherVersion) {
  const std::string& header = GetParam().header;
  const bool v1 = version_of(header) == ProxyProtocol::v1;
  EXPECT_EQ(parse(header, v1 ? ProxyProtocol::v2 : ProxyProtocol::v1).text, kBad);
  EXPECT_EQ(parse(header.substr(0, 1), v1 ? ProxyProtocol::v2 : ProxyProtocol::v1).text, kBad)
      << "at the first byte";
}

constexpr std::string_view kV4Text = "192.0.2.1:56324 192.0.2.2:443";
constexpr std::string_view kV6Text = "[2001:db8::1]:56324 [2001:db8::2]:443";

std::string filler(std::size_t size) { return std::string(size, 'x'); }

const std::vector<Case>& v1_cases() {
  static const std::vector<Case> cases = {
      {"tcp4", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", kV4Text},
      {"tcp6", "PROXY TCP6 2001:db8::1 2001:DB8:0::2 56324 443\r\n", kV6Text},
      {"mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1 [::1]:2"},
      {"full_tcp6",
       "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1 "
       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2 65535 65535\r\n",
       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff1]:65535 "
       "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff2]:65535"},
      {"ports_at_the_ends", "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n",
       "0.0.0.0:0 255.255.255.255:65535"},
      {"unknown", "PROXY UNKNOWN\r\n", kLocal},
      {"unknown_with_more", "PROXY UNKNOWN ffff::1 what  ever 65536\r\n", kLocal},
      {"longest_unknown", "PROXY UNKNOWN " + filler(107 - 16) + "\r\n", kLocal},
      {"too_long", "PROXY UNKNOWN " + filler(107 - 15) + "\r\n", kBad},
      {"endless", "PROXY UNKNOWN " + filler(5000), kBad},
      {"unfinished", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r", kMore},
      {"no_return", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\n", kBad},
      {"no_newline", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\rG", kBad},
      {"two_returns", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\r\n", kBad},
      {"lower_case", "PROXY tcp4 192.0.2.1 192.0.2.2 56324 443\r\n", kBad},
      {"udp", "PROXY UDP4 192.0.2.1 192.0.2.2 56324 443\r\n", kBad},
      {"no_family", "PROXY \r\n", kBad},
      {"unknown_run_together", "PROXY UNKNOWNX\r\n", kBad},
      {"no_space", "PROXYTCP4 192.0.2.1 192.0.2.2 56324 443\r\n", kBad},
      {"two_spaces", "PROXY TCP4  192.0.2.1 192.0.2.2 56324 443\r\n", kBad},
      {"tab", "PROXY TCP4\t192.0.2.1 192.0.2.2 56324 443\r\n", kBad},
      {"space_at_the_end", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 \r\n", kBad},
      {"a_word_more", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 1\r\n", kBad},
      {"a_word_less", "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n", kBad},
      {"nothing_but_the_family", "PROXY TCP4\r\n", kBad},
      {"port_too_large", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n", kBad},
      {"port_far_too_large", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 4294967739\r\n", kBad},
      {"port_with_zeros", "PROXY TCP4 192.0.2.1 192.0.2.2 056324 443\r\n", kBad},
      {"port_00", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 00\r\n", kBad},
      {"port_negative", "PROXY TCP4 192.0.2.1 192.0.2.2 -1 443\r\n", kBad},
      {"port_plus", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 +443\r\n", kBad},
      {"port_hexadecimal", "PROXY TCP4 192.0.2.1 192.0.2.2 56324 0x1\r\n", kBad},
      {"v6_as_tcp4", "PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n", kBad},
      {"v4_as_tcp6", "PROXY TCP6 192.0.2.1 192.0.2.2 56324 443\r\n", kBad},
      {"mixed_families", "PROXY TCP6 2001:db8::1 192.0.2.2 56324 443\r\n", kBad},
      {"number_too_large", "PROXY TCP4 192.0.2.256 192.0.2.2 56324 443\r\n", kBad},
      {"three_numbers", "PROXY TCP4 192.0.2 192.0.2.2 56324 443\r\n", kBad},
      {"number_with_zeros", "PROXY TCP4 192.0.02.1 192.0.2.2 56324 443\r\n", kBad},
      {"v6_zone", "PROXY TCP6 fe80::1%lo 2001:db8::2 56324 443\r\n", kBad},
      {"v6_brackets", "PROXY TCP6 [::1] ::2 56324 443\r\n", kBad},
      {"a_name", "PROXY TCP4 localhost 192.0.2.2 56324 443\r\n", kBad},
      {"nul_in_an_address", std::string("PROXY TCP4 192.0.2.1\0 192.0.2.2 56324 443\r\n", 43),
       kBad},
      {"http", "POST / HTTP/1.1\r\n\r\n", kBad},
  };
  return cases;
}

std::string tlv(char type, std::string_view value) {
  std::string result = {type, static_cast<char>(value.size() >> 8),
                        static_cast<char>(value.size() & 255)};
  return result.append(value);
}

const std::vector<Case>& v2_cases() {
  static const std::string paths = proxy_path("/client") + proxy_path("/server");
  static const std::vector<Case> cases = {
      {"v4", proxy_v2(0x21, 0x11, kProxyV4), kV4Text},
      {"v4_datagram", proxy_v2(0x21, 0x12, kProxyV4), kV4Text},
      {"v6", proxy_v2(0x21, 0x21, kProxyV6), kV6Text},
      {"unix", proxy_v2(0x21, 0x31, paths), "unix:/client unix:/server"},
      {"unix_unnamed", proxy_v2(0x21, 0x31, proxy_path("") + proxy_path("/server")),
       "unix: unix:/server"},
      {"unix_abstract",
       proxy_v2(0x21, 0x31, proxy_path(std::string_view("\0name", 5)) + proxy_path("/server")),
       "unix:@name unix:/server"},
      {"unix_too_short", proxy_v2(0x21, 0x31, paths.substr(1)), kBad},
      {"tlvs", proxy_v2(0x21, 0x11, kProxyV4 + tlv(0x01, "h2") + tlv(0x77, filler(300))), kV4Text},
      {"tlv_cut_off", proxy_v2(0x21, 0x11, kProxyV4 + "\x01"), kV4Text},
      {"unix_tlvs", proxy_v2(0x21, 0x31, paths + tlv(0x02, "name")), "unix:/client unix:/server"},
      {"longest", proxy_v2(0x21, 0x11, kProxyV4 + filler(4096 - 28)), kV4Text},
      {"too_long", proxy_v2(0x21, 0x11, kProxyV4 + filler(4096 - 27)), kBad},
      {"length_65535", proxy_v2(0x21, 0x11, kProxyV4, 65535), kBad},
      {"local", proxy_v2(0x20, 0x00, ""), kLocal},
      {"local_with_addresses", proxy_v2(0x20, 0x11, kProxyV4), kLocal},
      {"local_of_any_family", proxy_v2(0x20, 0xff, "abc"), kLocal},
      {"local_too_long", proxy_v2(0x20, 0x00, filler(4096 - 15)), kBad},
      {"unspecified", proxy_v2(0x21, 0x00, ""), kLocal},
      {"unspecified_with_tlvs", proxy_v2(0x21, 0x00, tlv(0x01, "h2")), kLocal},
      {"unspecified_protocol", proxy_v2(0x21, 0x10, kProxyV4), kLocal},
      {"unspecified_family", proxy_v2(0x21, 0x01, kProxyV4), kLocal},
      {"unfinished", proxy_v2(0x21, 0x11, kProxyV4, 13), kMore},
      {"v4_too_short", proxy_v2(0x21, 0x11, kProxyV4.substr(1)), kBad},
      {"v6_too_short", proxy_v2(0x21, 0x21, kProxyV6.substr(1)), kBad},
      {"v6_of_v4_length", proxy_v2(0x21, 0x21, kProxyV4), kBad},
      {"no_addresses", proxy_v2(0x21, 0x11, ""), kBad},
      {"command_2", proxy_v2(0x22, 0x11, kProxyV4), kBad},
      {"version_1", proxy_v2(0x11, 0x11, kProxyV4), kBad},
      {"version_3", proxy_v2(0x31, 0x11, kProxyV4), kBad},
      {"family_4", proxy_v2(0x21, 0x41, kProxyV4), kBad},
      {"protocol_3", proxy_v2(0x21, 0x13, kProxyV4), kBad},
      {"signature_broken_at_the_end", "\r\n\r\n" + std::string(1, '\0') + "\r\nQUIT\r", kBad},
      {"two_empty_lines", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", kBad},
      {"http", "GET / HTTP/1.1\r\n\r\n", kBad},
  };
  return cases;
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  return std::string(info.param.name);
}

INSTANTIATE_TEST_SUITE_P(V1, ProxyHeaders, ::testing::ValuesIn(v1_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(V2, ProxyHeaders, ::testing::ValuesIn(v2_cases()), name_of);

TEST(ProxyHeader, SignaturesAreRefusedAtTheFirstWrongByte) {
  for (const std::string& signature : {std::string("PROXY "), kProxySignature}) {
    for (std::size_t at = 0; at < signature.size(); ++at) {
      std::string text = signature.substr(0, at + 1);
      EXPECT_EQ(parse(text, ProxyProtocol::either).text, kMore);
      text[at] = static_cast<char>(text[at] ^ 1);
      EXPECT_EQ(parse(text, ProxyProtocol::either).text, kBad) << at;
    }
  }
}

TEST(ProxyHeader, WhatIsWrittenIsReadAgain) {
  const std::vector<std::pair<const char*, const char*>> pairs = {
      {"192.0.2.1:1", "192.0.2.2:65535"},
      {"[2001:db8::1]:0", "[::ffff:192.0.2.2]:443"},
      {"unix:/client", "unix:@server"}};
  for (const auto& [source, destination] : pairs) {
    const ProxiedAddresses addresses = {Address::parse(source).value(),
                                        Address::parse(destination).value()};
    const std::vector<std::byte> header = proxy_header(&addresses);
    ProxyHeaderParser parser(ProxyProtocol::v2);
    const auto step = parser.next(header);
    EXPECT_EQ(step.state, State::done);
    EXPECT_EQ(step.consumed, header.size());
    EXPECT_EQ(parser.addresses(), addresses) << source;
  }
  const ProxiedAddresses mixed = {Address::loopback(1), Address::parse("[::1]:1").value()};
  const ProxiedAddresses none;
  for (const ProxiedAddresses* const nothing :
       std::vector<const ProxiedAddresses*>{nullptr, &mixed, &none}) {
    ProxyHeaderParser parser(ProxyProtocol::v2);
    EXPECT_EQ(parser.next(proxy_header(nothing)).state, State::done);
    EXPECT_FALSE(parser.addresses());
  }
}

TEST(ProxyHeader, APathThatFillsItsRoomIsTakenWhole) {
  const std::string longest = "/" + filler(107);
  const ReadHeader outcome =
      parse(proxy_v2(0x21, 0x31, longest + proxy_path("/server")), ProxyProtocol::v2);
  constexpr std::size_t kRoom = sizeof(sockaddr_un{}.sun_path);
  EXPECT_EQ(outcome.text, "unix:" + longest.substr(0, kRoom) + " unix:/server");
}

}  // namespace
}  // namespace reactor
