// SPDX-License-Identifier: MIT
// These tests cover datagrams with network errors, with control data that does not fit, to
// multicast groups, and to broadcast addresses.
#include <ifaddrs.h>
#if defined(__linux__)
#include <linux/net_tstamp.h>
#include <netinet/ip.h>
#endif
#include <net/if.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/datagram_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class DatagramLimitsTest : public LoopTest {};

// Returns a port whose socket is closed again.
Address closed_udp_port() {
  DatagramPeer gone(Address::loopback(0));
  return gone.address();
}

TEST_P(DatagramLimitsTest, AClosedPortIsOneErrorAndNoSpin) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error that a datagram came back with");
  Loop loop(options());
  DatagramRecorder handler;
  const Address nobody = closed_udp_port();
  const auto client = get(Datagram::connect(loop, nobody, handler));
  client->send("anybody there?");
  ASSERT_TRUE(run_bounded(loop, [&] { return !handler.errors.empty(); }));
  EXPECT_EQ(handler.errors.at(0), std::errc::connection_refused);
  EXPECT_LE(run_for(loop, milliseconds(20)), 3);
  EXPECT_EQ(handler.errors.size(), 1U);
  // Normal work goes on once a socket is bound there again.
  DatagramPeer peer(nobody);
  client->send("hello");
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), !peer.got.empty(); }));
  ASSERT_TRUE(peer.send("hi", client->address()));
  ASSERT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
  EXPECT_EQ(handler.errors.size(), 1U);
}

TEST_P(DatagramLimitsTest, AnErrorThatWaitsDoesNotTakeTheNextDatagram) {
  for (const bool batches : {true, false}) {
    Loop loop(options());
    DatagramOptions settings;
    settings.batches = batches;
    DatagramRecorder handler;
    const Address nobody = closed_udp_port();
    const auto client = get(Datagram::connect(loop, nobody, handler, settings));
    client->pause_reading();
    client->send("lost");
    client->flush();
    DatagramPeer peer(nobody);
    client->send("arrives");
    client->flush();
    peer.read();
    EXPECT_EQ(peer.got, std::vector<std::string>{"arrives"});
    EXPECT_TRUE(handler.errors.empty()) << "never inside send() or flush()";
    ASSERT_TRUE(run_bounded(loop, [&] { return !handler.errors.empty(); })) << batches;
    EXPECT_LE(run_for(loop, milliseconds(20)), 3);
    EXPECT_EQ(handler.errors.size(), 1U);
    EXPECT_EQ(handler.errors.at(0), std::errc::connection_refused);
    EXPECT_EQ(client->stats().dropped, 0U);
  }
}

TEST_P(DatagramLimitsTest, ATooLargeOneIsAnErrorAndTheOthersLeave) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0));
  const auto client = get(Datagram::connect(loop, peer.address(), handler));
  client->send("before");
  client->send(std::string(65508, 'x'));
  client->send(std::string(300000, 'x'));  // more than is collected at once
  client->send("after");
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 2; }));
  EXPECT_EQ(peer.got, (std::vector<std::string>{"before", "after"}));
  ASSERT_FALSE(handler.errors.empty());
  for (const std::error_code error : handler.errors) EXPECT_EQ(error, std::errc::message_size);
  EXPECT_EQ(client->stats().dropped, 2U);
  EXPECT_EQ(client->stats().errors, 2U);
  EXPECT_EQ(client->stats().sent, 2U);
}

TEST_P(DatagramLimitsTest, ItIsAnErrorToSendToNobody) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto server = get(Datagram::bind(loop, Address::loopback(0), handler));
  server->send("to whom?");
  ASSERT_TRUE(run_bounded(loop, [&] { return !handler.errors.empty(); }));
  EXPECT_EQ(server->stats().dropped, 1U);
}

#if defined(__linux__)
// The kernel reports a socket with a non-empty error queue as ready until that queue is read.
TEST_P(DatagramLimitsTest, AQueueOfErrorsDoesNotSpin) {
  Loop loop(options());
  DatagramRecorder handler;
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  const int on = 1;
  ASSERT_EQ(::setsockopt(fd.get(), IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
  const auto client = get(Datagram::adopt(loop, Socket(std::move(fd)), handler));
  client->send_to("x", closed_udp_port());
  const auto told = [&] { return !handler.errors.empty() || on_libkqueue(GetParam()); };
  ASSERT_TRUE(run_bounded(loop, told)) << "libkqueue takes the error";
  EXPECT_LE(run_for(loop, milliseconds(20)), 6);
}

// The kernel puts the timestamps of sent datagrams into the error queue, too.
TEST_P(DatagramLimitsTest, AQueueOfTimesDoesNotSpin) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0));
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  const int times = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPING, &times, sizeof(times)), 0);
  const auto client = get(Datagram::adopt(loop, Socket(std::move(fd)), handler));
  for (int i = 0; i < 5; ++i) client->send_to("x", peer.address());
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 5; }));
  EXPECT_LE(run_for(loop, milliseconds(20)), 6);
}
#endif

// ---- Control data ----

// Descriptors that a unix peer sends with a datagram are not received. If they were, the fixture
// would report a leak.
TEST_P(DatagramLimitsTest, DescriptorsSentAlongAreNotTaken) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler));
  DatagramPeer peer(folder.socket("peer"));
  std::array<int, 100> numbers{};
  numbers.fill(peer.fd());
  std::vector<std::byte> control(CMSG_SPACE(sizeof(numbers)));
  std::string text = "gift";
  iovec piece{text.data(), text.size()};
  msghdr message{};
  const Address to = server->address();
  message.msg_name = const_cast<sockaddr*>(to.data());
  message.msg_namelen = to.size();
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = static_cast<decltype(message.msg_controllen)>(control.size());
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(numbers));
  std::memcpy(CMSG_DATA(header), numbers.data(), sizeof(numbers));
  const auto before = FdGuard::open_descriptors();
  ASSERT_GE(::sendmsg(peer.fd(), &message, 0), 0);
  ASSERT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
  EXPECT_EQ(FdGuard::open_descriptors(), before);
  EXPECT_EQ(handler.got, std::vector<std::string>{"gift"});
  EXPECT_FALSE(handler.truncated.at(0));
}

#if defined(__linux__)
// The options of an adopted socket may ask for more control data than the receiver has room for.
TEST_P(DatagramLimitsTest, ControlDataThatDoesNotFitIsLeftOut) {
  Loop loop(options());
  DatagramRecorder handler;
  handler.echoes = true;
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  const Address any = parse_address("0.0.0.0:0");
  ASSERT_EQ(::bind(fd.get(), any.data(), any.size()), 0);
  const int on = 1;
  for (const int option : {IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS, IP_RECVORIGDSTADDR}) {
    ASSERT_EQ(::setsockopt(fd.get(), IPPROTO_IP, option, &on, sizeof(on)), 0);
  }
  const int times = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPING, &times, sizeof(times)), 0);
  const auto server = get(Datagram::adopt(loop, Socket(std::move(fd)), handler));
  DatagramPeer peer(Address::loopback(0));
  std::array<std::uint8_t, 40> longest{};
  longest.fill(IPOPT_NOOP);
  ASSERT_EQ(::setsockopt(peer.fd(), IPPROTO_IP, IP_OPTIONS, &longest, sizeof(longest)), 0);
  const Address to = parse_address("127.0.0.1:" + std::to_string(server->address().port()));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(peer.send("x", to));
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 3; }));
  EXPECT_EQ(handler.truncated, std::vector<bool>(3, false));
}
#endif

// ---- Broadcasts and groups ----

#if defined(__linux__)
// A broadcast address can't be the source of the answer.
TEST_P(DatagramLimitsTest, BroadcastsAreAnswered) {
  for (const char* const wildcard : {"0.0.0.0:0", "[::]:0"}) {
    if (wildcard[0] == '[' && Address::any(0).family() != AF_INET6) continue;
    Loop loop(options());
    DatagramRecorder handler;
    handler.echoes = true;
    const auto server = get(Datagram::bind(loop, parse_address(wildcard), handler));
    DatagramPeer peer(Address::loopback(0));
    const int on = 1;
    ASSERT_EQ(::setsockopt(peer.fd(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
    const Address all =
        parse_address("127.255.255.255:" + std::to_string(server->address().port()));
    if (!peer.send("1", all)) GTEST_SKIP() << "no broadcast on loopback";
    ASSERT_TRUE(peer.send("2", all));
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 2; })) << wildcard;
    EXPECT_EQ(peer.from.to_string(), all.to_string().replace(4, 11, "0.0.1"));
    EXPECT_TRUE(handler.errors.empty());
  }
}

TEST_P(DatagramLimitsTest, WhereTheSourceIsRefusedTheSystemChooses) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto server = get(Datagram::bind(loop, parse_address("0.0.0.0:0"), handler));
  const bool segments = server->segments();
  DatagramPeer peer(Address::loopback(0));
  const Address foreign = parse_address("198.51.100.1:1");  // this host does not have this address
  const std::string text = "x";
  for (int i = 0; i < 3; ++i) {
    server->send_to(std::as_bytes(std::span(text)), peer.address(), foreign);
  }
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 3; }));
  EXPECT_TRUE(handler.errors.empty());
  EXPECT_EQ(server->segments(), segments) << "that was not the reason";
}
#endif

// Sends a datagram to `group` through the loopback interface and checks that a member gets it.
// Returns an empty string, or the reason why this host can't do that.
template <class Change, class SetInterface>
std::string try_group(Loop& loop, const Address& bind, const Address& group, const Change& change,
                      const SetInterface& set_interface) {
  DatagramRecorder handler;
  const auto member = get(Datagram::bind(loop, bind, handler));
  const Address to = group.with_port(member->address().port());
  if (const Result<> joined = change(*member, true); !joined) return joined.error().message();
  if (const Result<> set = set_interface(*member); !set) return set.error().message();
  EXPECT_TRUE(member->set_multicast_loop(true));
  EXPECT_TRUE(member->set_multicast_ttl(group.family() == AF_INET6 ? 1 : 0));
  member->send_to("to all", to);
  if (!run_bounded(
          loop, [&] { return !handler.got.empty() || !handler.errors.empty(); },
          milliseconds(500))) {
    return "nothing came";
  }
  if (!handler.errors.empty()) return handler.errors.front().message();
  EXPECT_FALSE(change(*member, true)) << "it is a member already";
  EXPECT_TRUE(change(*member, false));
  member->send_to("to others", to);
  EXPECT_LE(run_for(loop, milliseconds(5)), 3);
  EXPECT_EQ(handler.got, std::vector<std::string>{"to all"});
  return "";
}

// Returns the index of an interface that supports groups of this family, usually loopback. Linux
// needs another interface for v6; datagrams to node-local groups do not leave the host through it
// (RFC 4291 section 2.7).
unsigned interface_with_groups(int family) {
  if (family == AF_INET) return ::if_nametoindex("lo") | ::if_nametoindex("lo0");
  ifaddrs* all = nullptr;
  unsigned index = 0;
  if (::getifaddrs(&all) != 0) return 0;
  for (const ifaddrs* one = all; one != nullptr && index == 0; one = one->ifa_next) {
    constexpr unsigned kWanted = IFF_UP | IFF_MULTICAST;
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != family) continue;
    if ((one->ifa_flags & kWanted) == kWanted) index = ::if_nametoindex(one->ifa_name);
  }
  ::freeifaddrs(all);
  return index;
}

TEST_P(DatagramLimitsTest, GroupsAreJoinedAndLeftByAddress) {
  Loop loop(options());
  const Address group = parse_address("239.255.77.1:0"), lo = Address::loopback(0);
  const std::string why = try_group(
      loop, parse_address("0.0.0.0:0"), group,
      [&](Datagram& d, bool in) { return in ? d.join(group, lo) : d.leave(group, lo); },
      [&](Datagram& d) { return d.set_multicast_interface(lo); });
  if (!why.empty()) GTEST_SKIP() << "no multicast on loopback: " << why;
}

std::string try_group_by_index(Loop& loop, const Address& bind, const Address& group) {
  const unsigned index = interface_with_groups(group.family());
  return try_group(
      loop, bind, group,
      [&](Datagram& d, bool in) { return in ? d.join(group, index) : d.leave(group, index); },
      [&](Datagram& d) { return d.set_multicast_interface(index); });
}

TEST_P(DatagramLimitsTest, GroupsAreJoinedAndLeftByIndex) {
  for (const char* const text : {"239.255.77.1:0", "[ff01::7701]:0"}) {
    Loop loop(options());
    const Address group = parse_address(text);
    const bool six = group.family() == AF_INET6;
    if (six && Address::any(0).family() != AF_INET6) GTEST_SKIP() << "no v6 here";
    const std::string why =
        try_group_by_index(loop, parse_address(six ? "[::]:0" : "0.0.0.0:0"), group);
    if (!why.empty()) GTEST_SKIP() << "no multicast to " << text << ": " << why;
  }
}

#if defined(__linux__)
int option_of_v4(const Datagram& socket, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_EQ(::getsockopt(socket.fd(), IPPROTO_IP, name, &value, &length), 0);
  return value;
}

// The socket sends to groups of both families.
TEST_P(DatagramLimitsTest, WhatIsSetForGroupsHoldsForBothFamilies) {
  if (Address::any(0).family() != AF_INET6) GTEST_SKIP() << "no v6 here";
  Loop loop(options());
  DatagramRecorder handler;
  const auto socket = get(Datagram::bind(loop, parse_address("[::]:0"), handler));
  EXPECT_TRUE(socket->set_multicast_ttl(7) && socket->set_multicast_loop(false));
  EXPECT_EQ(option_of_v4(*socket, IP_MULTICAST_TTL), 7);
  EXPECT_EQ(option_of_v4(*socket, IP_MULTICAST_LOOP), 0);
  const Address group = parse_address("239.255.77.1:0");
  const std::string why = try_group_by_index(loop, parse_address("0.0.0.0:0"), group);
  if (!why.empty()) GTEST_SKIP() << "no multicast on loopback: " << why;
  EXPECT_EQ(try_group_by_index(loop, parse_address("[::]:0"), group), "");
}
#endif

TEST_P(DatagramLimitsTest, WrongGroupsAndOptionsAreErrors) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto socket = get(Datagram::bind(loop, parse_address("0.0.0.0:0"), handler));
  EXPECT_FALSE(socket->join(Address::loopback(0)));
  EXPECT_FALSE(socket->leave(parse_address("239.255.77.2:0")));
  EXPECT_EQ(socket->join(Address()).error(), Errc::not_supported);
  EXPECT_EQ(socket->join(parse_address("[ff02::1]:0"), Address::loopback(0)).error(),
            Errc::not_supported);
  EXPECT_FALSE(socket->join(parse_address("239.255.77.2:0"), 1000000));
  EXPECT_EQ(socket->set_multicast_ttl(256).error(), std::errc::invalid_argument);
  EXPECT_TRUE(socket->set_broadcast(true));
}

INSTANTIATE_TEST_SUITE_P(Backends, DatagramLimitsTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
