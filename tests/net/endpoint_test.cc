// SPDX-License-Identifier: MIT
#include "reactor/net/endpoint.h"

#include <gtest/gtest.h>

#include <string>

namespace reactor {
namespace {

TEST(EndpointTest, ParsesAndPrints) {
  for (const char* const text :
       {"127.0.0.1:80", "[::1]:80", "unix:/s", "unix:@n", "udp:127.0.0.1:80", "udp:[::1]:80",
        "unixgram:/s", "unixgram:@n"}) {
    const Result<Endpoint> endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), text);
    const bool datagram =
        std::string_view(text).find("u") == 0 && std::string_view(text).find("unix:") != 0;
    EXPECT_EQ(endpoint->kind == Endpoint::Kind::datagram, datagram) << text;
  }
  EXPECT_EQ(Endpoint::parse("udp::53")->address, Address::any(53));
  for (const char* const text :
       {"udp:", "udp:unix:/s", "unixgram:", "udp:/s", "udp:1", "unixgram", "tcp:127.0.0.1:80"}) {
    EXPECT_FALSE(Endpoint::parse(text)) << text;
  }
}

TEST(EndpointTest, AnErrorTellsTheFormsForDatagramsToo) {
  const std::string text = Endpoint::parse("udp:1").error().message();
  for (const char* const form : {"HOST:PORT", "unix:PATH", "udp:HOST:PORT", "unixgram:PATH"}) {
    EXPECT_NE(text.find(form), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace reactor
