// SPDX-License-Identifier: MIT
#include "reactor/net/network.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "reactor/base/error.h"

namespace reactor {
namespace {

struct NetworkForm {
  const char* text;
  const char* printed;  // null: as `text`
};

class NetworkForms : public ::testing::TestWithParam<NetworkForm> {};

TEST_P(NetworkForms, ParsePrintAndParseAgain) {
  const NetworkForm& form = GetParam();
  const auto network = Network::parse(form.text);
  ASSERT_TRUE(network) << form.text;
  EXPECT_EQ(network->to_string(), form.printed != nullptr ? form.printed : form.text);
  EXPECT_EQ(Network::parse(network->to_string()).value(), *network);
}

INSTANTIATE_TEST_SUITE_P(
    All, NetworkForms,
    ::testing::Values(NetworkForm{"10.0.0.0/8", nullptr}, NetworkForm{"0.0.0.0/0", nullptr},
                      NetworkForm{"127.0.0.1", "127.0.0.1/32"},
                      NetworkForm{"192.0.2.254/31", nullptr}, NetworkForm{"::1", "::1/128"},
                      NetworkForm{"::/0", nullptr}, NetworkForm{"fd00::/8", nullptr},
                      NetworkForm{"2001:DB8::/33", "2001:db8::/33"},
                      NetworkForm{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
                      NetworkForm{"::ffff:192.0.2.1", "192.0.2.1/32"},
                      NetworkForm{"::/95", nullptr}));

class NoNetwork : public ::testing::TestWithParam<const char*> {};

TEST_P(NoNetwork, IsRefused) {
  const auto network = Network::parse(GetParam());
  ASSERT_FALSE(network) << network->to_string();
  EXPECT_EQ(network.error(), Errc::bad_address);
}

INSTANTIATE_TEST_SUITE_P(All, NoNetwork,
                         ::testing::Values("", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129",
                                           "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08",
                                           "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10/8",
                                           "10.0.0.0/255.0.0.0", "10.0.0.1/8", "10.0.0.2/30",
                                           "fd00::1/8", "fe80::%lo/10", "[::1]", "127.0.0.1:80",
                                           "localhost", "unix:/x", "10.0.0.0/99999999999"));

bool contains(const char* network, std::string_view address) {
  return Network::parse(network).value().contains(Address::parse(address).value());
}

TEST(Network, ContainsWhatSharesItsPrefix) {
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1:80"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0:80"));
  EXPECT_FALSE(contains("10.0.0.0/8", "9.255.255.255:80"));
  EXPECT_TRUE(contains("192.0.2.254/31", "192.0.2.255:1"));
  EXPECT_FALSE(contains("192.0.2.254/31", "192.0.2.253:1"));
  EXPECT_TRUE(contains("127.0.0.1", "127.0.0.1:1"));
  EXPECT_FALSE(contains("127.0.0.1", "127.0.0.2:1"));
  EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.7:1"));
  EXPECT_TRUE(contains("2001:db8::/33", "[2001:db8:7fff::1]:1"));
  EXPECT_FALSE(contains("2001:db8::/33", "[2001:db8:8000::1]:1"));
  EXPECT_TRUE(contains("::1", "[::1]:1"));
  EXPECT_FALSE(contains("::1", "[::2]:1"));
}

TEST(Network, MappedAddressesAreIPv4) {
  EXPECT_TRUE(contains("10.0.0.0/8", "[::ffff:10.1.2.3]:1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "[::ffff:11.1.2.3]:1"));
  EXPECT_TRUE(contains("::ffff:10.0.0.0/104", "10.1.2.3:1"));
}

TEST(Network, TheTwoFamiliesDoNotMix) {
  EXPECT_FALSE(contains("0.0.0.0/0", "[::1]:1"));
  EXPECT_FALSE(contains("::/0", "127.0.0.1:1"));
  EXPECT_FALSE(contains("::/0", "[::ffff:127.0.0.1]:1"));
  EXPECT_FALSE(contains("::/0", "unix:/tmp/x"));
  EXPECT_FALSE(Network::parse("::/0")->contains(Address()));
}

}  // namespace
}  // namespace reactor
