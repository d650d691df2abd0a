// SPDX-License-Identifier: MIT
// The kernel may cut up (UDP_SEGMENT) and join (UDP_GRO) datagrams, or refuse to do so.
#include <netinet/udp.h>
#if defined(__linux__)
#include <linux/net_tstamp.h>
#endif

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/datagram_kit.h"
#include "tests/support/stream_kit.h"

#if defined(UDP_SEGMENT) && defined(UDP_GRO)

namespace reactor {
namespace {

class OffloadTest : public LoopTest {};

// Sends datagrams of these sizes in one batch to a plain socket, and returns the sizes that arrive
// there.
std::vector<std::size_t> sizes_sent(Loop& loop, Datagram& client,
                                    const std::vector<std::size_t>& sizes) {
  DatagramPeer peer(Address::loopback(0));
  for (const std::size_t size : sizes) client.send_to(std::string(size, 'x'), peer.address());
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == sizes.size(); }));
  std::vector<std::size_t> got;
  for (const std::string& text : peer.got) got.push_back(text.size());
  return got;
}

TEST_P(OffloadTest, JoinedDatagramsArriveAsTheyWereSent) {
  const std::vector<std::size_t> sizes = {100, 100, 100, 40, 100, 0, 100, 100, 101, 101, 9000, 1};
  Loop loop(options());
  DatagramRecorder handler;
  const auto client = get(Datagram::bind(loop, Address::loopback(0), handler));
  if (!client->segments()) GTEST_SKIP() << "the kernel has no UDP_SEGMENT";
  EXPECT_EQ(sizes_sent(loop, *client, sizes), sizes);
  EXPECT_EQ(client->stats().sent, sizes.size());
  EXPECT_EQ(client->stats().send_calls, 1U);
  const std::vector<std::size_t> many(100, 80);  // more than fit into one message
  EXPECT_EQ(sizes_sent(loop, *client, many), many);
  EXPECT_TRUE(client->segments());
}

// The kernel refuses to cut up datagrams for a socket without checksums. A network card that can't
// do it fails in the same way.
TEST_P(OffloadTest, ARefusalFallsBackToPlainOnes) {
  const std::vector<std::size_t> sizes(30, 1000);
  Loop loop(options());
  DatagramRecorder handler;
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  const Address any = Address::loopback(0);
  ASSERT_EQ(::bind(fd.get(), any.data(), any.size()), 0);
  const int on = 1;
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)), 0);
  const auto client = get(Datagram::adopt(loop, Socket(std::move(fd)), handler));
  if (!client->segments()) GTEST_SKIP() << "the kernel has no UDP_SEGMENT";
  EXPECT_EQ(sizes_sent(loop, *client, sizes), sizes);
  EXPECT_EQ(sizes_sent(loop, *client, sizes), sizes);
  EXPECT_EQ(client->stats().sent, 60U);
  EXPECT_EQ(client->stats().dropped, 0U);
  EXPECT_TRUE(handler.errors.empty());
  EXPECT_LE(client->stats().send_calls, 1U + 30 + 1) << "it asks once";
}

// The kernel refuses port 0 as a destination, but a datagram can come from port 0, so a server may
// try to answer there.
TEST_P(OffloadTest, AReceiverThatIsRefusedSwitchesNothingOff) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto server = get(Datagram::bind(loop, Address::loopback(0), handler));
  if (!server->segments()) GTEST_SKIP() << "the kernel has no UDP_SEGMENT";
  for (int i = 0; i < 3; ++i) server->send_to("x", Address::loopback(0));
  ASSERT_TRUE(run_bounded(loop, [&] { return !handler.errors.empty(); }));
  EXPECT_EQ(handler.errors.at(0), std::errc::invalid_argument);
  EXPECT_EQ(server->stats().dropped, 3U);
  EXPECT_TRUE(server->segments());
}

// A burst that arrives in one piece is delivered as the datagrams that were sent. max_size
// truncates each of them separately.
TEST_P(OffloadTest, CoalescedDatagramsAreHandedOverOneByOne) {
  for (const std::size_t max_size : {std::size_t{65536}, std::size_t{64}}) {
    Loop loop(options());
    DatagramOptions settings;
    settings.max_size = max_size;
    DatagramRecorder sender, handler;
    const auto server = get(Datagram::bind(loop, Address::loopback(0), handler, settings));
    const auto client = get(Datagram::connect(loop, server->address(), sender));
    if (!server->coalesces() || !client->segments()) GTEST_SKIP() << "the kernel has no UDP_GRO";
    handler.echoes = true;
    std::vector<std::string> sent;
    for (std::size_t i = 0; i < 50; ++i) sent.push_back(pattern(200).substr(i, 100));
    sent.emplace_back("short");
    for (const std::string& text : sent) client->send(text);
    ASSERT_TRUE(run_bounded(loop, [&] { return sender.got.size() == sent.size(); }));
    for (std::string& text : sent) text = text.substr(0, max_size);
    EXPECT_EQ(handler.got, sent);
    EXPECT_EQ(sender.got, sent);
    EXPECT_EQ(server->stats().receive_calls, 1U);
    EXPECT_EQ(server->stats().truncated, max_size == 64 ? 50U : 0U);
  }
}

TEST_P(OffloadTest, SwitchedOffItWorksAsWell) {
  Loop loop(options());
  DatagramOptions off;
  off.segmentation_offload = off.receive_offload = false;
  DatagramRecorder handler;
  const auto client = get(Datagram::bind(loop, Address::loopback(0), handler, off));
  EXPECT_FALSE(client->segments() || client->coalesces());
  const std::vector<std::size_t> sizes(100, 10);
  EXPECT_EQ(sizes_sent(loop, *client, sizes), sizes);
}

TEST_P(OffloadTest, SwitchedOffForASocketThatHadItOn) {
  Loop loop(options());
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  const Address any = Address::loopback(0);
  ASSERT_EQ(::bind(fd.get(), any.data(), any.size()), 0);
  const int on = 1;
  if (::setsockopt(fd.get(), IPPROTO_UDP, UDP_GRO, &on, sizeof(on)) != 0) GTEST_SKIP();
  DatagramOptions off;
  off.receive_offload = false;
  DatagramRecorder sender, handler;
  const auto server = get(Datagram::adopt(loop, Socket(std::move(fd)), handler, off));
  EXPECT_FALSE(server->coalesces());
  const auto client = get(Datagram::connect(loop, server->address(), sender));
  const std::vector<std::string> sent(10, std::string(100, 'x'));
  for (const std::string& text : sent) client->send(text);
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() >= sent.size(); }));
  EXPECT_EQ(handler.got, sent);
}

// An adopted socket may have options that add control data to each datagram.
TEST_P(OffloadTest, PiecesAreKeptApartWhateverElseIsTold) {
  Loop loop(options());
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  const Address any = Address::loopback(0);
  ASSERT_EQ(::bind(fd.get(), any.data(), any.size()), 0);
  constexpr int kReceiveMark = 75;  // Linux 5.19's SO_RCVMARK
  const int on = 1, times = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)), 0);
  ASSERT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPING, &times, sizeof(times)), 0);
  if (::setsockopt(fd.get(), SOL_SOCKET, kReceiveMark, &on, sizeof(on)) != 0) GTEST_SKIP();
  DatagramRecorder sender, handler;
  const auto server = get(Datagram::adopt(loop, Socket(std::move(fd)), handler));
  const auto client = get(Datagram::connect(loop, server->address(), sender));
  if (!server->coalesces() || !client->segments()) GTEST_SKIP() << "the kernel has no UDP_GRO";
  const std::vector<std::string> sent(10, std::string(100, 'x'));
  for (const std::string& text : sent) client->send(text);
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() >= sent.size(); }));
  EXPECT_EQ(handler.got, sent);
}

INSTANTIATE_TEST_SUITE_P(Backends, OffloadTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor

#endif
