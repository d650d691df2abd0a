// SPDX-License-Identifier: MIT
#include "reactor/net/address.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <array>
#include <string>
#include <tuple>

#include "reactor/base/error.h"

namespace reactor {
namespace {

struct AddressForm {
  const char* text;
  int family;
  int port;
  const char* printed;  // null: as `text`
};

class AddressForms : public ::testing::TestWithParam<AddressForm> {};

TEST_P(AddressForms, ParsePrintAndParseAgain) {
  const AddressForm& form = GetParam();
  const auto address = Address::parse(form.text);
  ASSERT_TRUE(address) << form.text << ": " << address.error().message();
  EXPECT_EQ(address->family(), form.family);
  EXPECT_EQ(address->port(), form.port);
  const std::string printed = address->to_string();
  EXPECT_EQ(printed, form.printed != nullptr ? form.printed : form.text);
  const auto again = Address::parse(printed);
  ASSERT_TRUE(again) << printed;
  EXPECT_EQ(*again, *address);
}

INSTANTIATE_TEST_SUITE_P(
    All, AddressForms,
    ::testing::Values(AddressForm{"127.0.0.1:80", AF_INET, 80, nullptr},
                      AddressForm{"0.0.0.0:0", AF_INET, 0, nullptr},
                      AddressForm{"255.255.255.255:65535", AF_INET, 65535, nullptr},
                      AddressForm{"localhost:8080", AF_INET, 8080, "127.0.0.1:8080"},
                      AddressForm{"LocalHost.:80", AF_INET, 80, "127.0.0.1:80"},
                      AddressForm{"a.b.LOCALHOST:80", AF_INET, 80, "127.0.0.1:80"},
                      AddressForm{"[::1]:80", AF_INET6, 80, nullptr},
                      AddressForm{"[::]:0", AF_INET6, 0, nullptr},
                      AddressForm{"[2001:DB8:0::1]:443", AF_INET6, 443, "[2001:db8::1]:443"},
                      AddressForm{"unix:/tmp/x.sock", AF_UNIX, 0, nullptr},
                      AddressForm{"unix:relative path", AF_UNIX, 0, nullptr},
                      AddressForm{"unix:/a:1", AF_UNIX, 0, nullptr},
                      AddressForm{"unix:@name", AF_UNIX, 0, nullptr},
                      AddressForm{"unix:@/not/a/path", AF_UNIX, 0, nullptr},
                      AddressForm{"unix:@@", AF_UNIX, 0, nullptr}));

class NoAddress : public ::testing::TestWithParam<const char*> {};

TEST_P(NoAddress, IsRefused) {
  const auto address = Address::parse(GetParam());
  ASSERT_FALSE(address) << address->to_string();
  EXPECT_EQ(address.error(), Errc::bad_address);
}

INSTANTIATE_TEST_SUITE_P(
    All, NoAddress,
    ::testing::Values("", ":", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                      "127.0.0.1:+80", "127.0.0.1: 80", "127.0.0.1:80 ", " 127.0.0.1:80",
                      "127.0.0.1:0x50", "127.0.0.1:8a", "127.0.0.1:99999999999999999999",
                      "notlocalhost:80", ".localhost:80", "a..localhost:80", "localhost..:80",
                      "localhost.test:80", "127.0.1:80", "127.0.0.256:80", "1.2.3.4.5:80",
                      "example.org:80", "::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80",
                      "[127.0.0.1]:80", "[::1%]:80", "[::1%no-such-device]:80", "[:::1]:80",
                      "unix:", "unix:@", "@x", "/tmp/x.sock"));

TEST(Address, APortAloneIsTheWildcard) {
  const auto address = Address::parse(":8080");
  ASSERT_TRUE(address);
  EXPECT_EQ(*address, Address::any(8080));
  EXPECT_EQ(address->port(), 8080);
  EXPECT_TRUE(address->to_string() == "[::]:8080" || address->to_string() == "0.0.0.0:8080");
}

TEST(Address, AMappedV4AddressPrintsAsV4) {
  const auto address = Address::parse("[::ffff:192.0.2.7]:80");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), AF_INET6);
  EXPECT_EQ(address->to_string(), "192.0.2.7:80");
}

TEST(Address, AZoneIsKept) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(1, name.data()) == nullptr) GTEST_SKIP() << "no interface 1";
  const std::string named = "[fe80::1%" + std::string(name.data()) + "]:80";
  const auto by_name = Address::parse(named);
  const auto by_number = Address::parse("[fe80::1%1]:80");
  ASSERT_TRUE(by_name);
  ASSERT_TRUE(by_number);
  EXPECT_EQ(*by_name, *by_number);
  EXPECT_EQ(by_number->to_string(), named);
  const auto without = Address::parse("[fe80::1]:80");
  EXPECT_FALSE(*by_name == *without);
}

// The kernel takes the part after the colon for an alias of the interface and ignores it.
TEST(Address, AZoneWithAColonIsNoInterface) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(1, name.data()) == nullptr) GTEST_SKIP() << "no interface 1";
  const std::string interface = name.data();
  for (const std::string& zone :
       {interface + ":", interface + ":0", interface + ":%\x94", std::string(":1")}) {
    EXPECT_EQ(Address::parse("[fe80::1%" + zone + "]:80").error(), Errc::bad_address) << zone;
  }
}

TEST(Address, TheLongestUnixPathIs107Bytes) {
  const std::string longest(107, 'p');
  const auto path = Address::unix_path(longest);
  ASSERT_TRUE(path);
  EXPECT_EQ(path->path(), longest);
  EXPECT_EQ(path->to_string(), "unix:" + longest);
  EXPECT_EQ(Address::unix_path(longest + "p").error(), Errc::address_too_long);
  EXPECT_EQ(Address::unix_path(longest + "p").error(), std::errc::filename_too_long);
  EXPECT_EQ(Address::parse("unix:" + longest + "p").error(), Errc::address_too_long);
  EXPECT_TRUE(Address::unix_abstract(longest));
  EXPECT_EQ(Address::unix_abstract(longest + "p").error(), Errc::address_too_long);
}

TEST(Address, ANulByteIsNoPathButMayBeInAName) {
  using std::string_literals::operator""s;
  EXPECT_EQ(Address::unix_path("/tmp/a\0b"s).error(), Errc::bad_address);
  const auto one = Address::unix_abstract("x");
  const auto two = Address::unix_abstract("x\0"s);
  ASSERT_TRUE(one);
  ASSERT_TRUE(two);
  EXPECT_FALSE(*one == *two) << "the length counts";
  EXPECT_TRUE(one->path().empty());
}

TEST(Address, ATextWithANulByteIsNoAddress) {
  using std::string_view_literals::operator""sv;
  for (const auto text :
       {"127.0.0.1\0evil:80"sv, "127.0.0.1\0:80"sv, "[::1\0evil]:80"sv, "[fe80::1%lo\0junk]:80"sv,
        "localhost\0:80"sv, "localhost\0.localhost:80"sv, "127.0.0.1:80\0"sv, "unix:a\0b"sv,
        "unix:@a\0b"sv}) {
    EXPECT_EQ(Address::parse(text).error(), Errc::bad_address) << text;
  }
}

TEST(Address, NoneIsUnknown) {
  const Address none;
  EXPECT_EQ(none.family(), AF_UNSPEC);
  EXPECT_EQ(none.to_string(), "unknown");
  EXPECT_EQ(none, Address());
  EXPECT_EQ(none.port(), 0);
  EXPECT_FALSE(none == Address::loopback(1));
}

TEST(Address, ComparesByContent) {
  EXPECT_EQ(Address::loopback(80), *Address::parse("127.0.0.1:80"));
  EXPECT_FALSE(Address::loopback(80) == Address::loopback(81));
  EXPECT_FALSE(*Address::parse("127.0.0.1:80") == *Address::parse("[::1]:80"));
  EXPECT_EQ(*Address::unix_path("/a"), *Address::parse("unix:/a"));
  EXPECT_FALSE(*Address::unix_path("/a") == *Address::unix_abstract("/a"));
  EXPECT_EQ(Address::loopback(80).with_port(90), Address::loopback(90));
}

TEST(Address, RoundTripsThroughTheSystemsForm) {
  for (const char* text : {"127.0.0.1:80", "[::1]:80", "unix:/tmp/x", "unix:@x"}) {
    const Address address = Address::parse(text).value();
    EXPECT_EQ(Address::from(address.data(), address.size()), address);
  }
}

TEST(Address, WhatTheKernelGivesForAnUnnamedUnixSocketIsAccepted) {
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  const Address address =
      Address::from(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t));
  EXPECT_TRUE(address.is_unix());
  EXPECT_EQ(address.to_string(), "unix:");
  EXPECT_TRUE(address.path().empty());
  EXPECT_EQ(Address::from(nullptr, 0).family(), AF_UNSPEC);
}

}  // namespace
}  // namespace reactor
