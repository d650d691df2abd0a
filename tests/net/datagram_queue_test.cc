// SPDX-License-Identifier: MIT
// In these tests, datagrams wait because the kernel or their receiver has no room.
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/datagram_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class FullQueueTest : public LoopTest {};

// Sends until a datagram is queued. Returns how many were sent, including the queued one.
std::size_t fill_socket(Datagram& socket, const Address& to) {
  std::size_t sent = 0;
  for (; socket.writable() && sent < 100000; ++sent) {
    socket.send_to(std::to_string(sent), to);
    socket.flush();
  }
  return sent;
}

TEST_P(FullQueueTest, QueuesWhatAUnixReceiverDoesNotReadAndDrains) {
  for (const bool connected : {true, false}) {
    Loop loop(options());
    const TemporaryFolder folder;
    DatagramRecorder handler;
    DatagramPeer peer(folder.socket("peer"));
    const auto socket = get(connected ? Datagram::connect(loop, peer.address(), handler)
                                      : Datagram::bind(loop, folder.socket("s"), handler));
    std::vector<std::string> sent;
    while (socket->writable() && sent.size() < 100000) {
      sent.push_back(std::to_string(sent.size()));
      connected ? socket->send(sent.back()) : socket->send_to(sent.back(), peer.address());
      socket->flush();
    }
    ASSERT_FALSE(socket->writable());
    sent.emplace_back();  // an empty datagram keeps its place too
    connected ? socket->send("") : socket->send_to("", peer.address());
    sent.emplace_back("last");
    connected ? socket->send("last") : socket->send_to("last", peer.address());
    // The socket retries every 5 ms on systems where the kernel can't report that there is room.
    EXPECT_LE(run_for(loop, milliseconds(40)), 12) << connected;
    EXPECT_EQ(handler.drains, 0);
    EXPECT_GE(socket->queued(), 128U * 3);
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == sent.size(); }));
    EXPECT_EQ(peer.got, sent);
    ASSERT_TRUE(run_bounded(loop, [&] { return handler.drains > 0; }));
    EXPECT_EQ(handler.drains, 1);
    EXPECT_TRUE(socket->writable());
    EXPECT_EQ(socket->queued(), 0U);
    EXPECT_EQ(socket->stats().dropped, 0U);
  }
}

TEST_P(FullQueueTest, BeyondTheLimitItDropsAndCounts) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramOptions settings;
  settings.queue_limit = 1000;
  DatagramRecorder handler;
  DatagramPeer peer(folder.socket("peer"));
  const auto socket = get(Datagram::bind(loop, folder.socket("s"), handler, settings));
  const std::size_t sent = fill_socket(*socket, peer.address());
  for (int i = 0; i < 20; ++i) socket->send_to(std::string(100, 'x'), peer.address());
  ASSERT_TRUE(loop.poll());
  EXPECT_EQ(socket->stats().dropped,
            17U);  // the fill queued one, 3 more of 228 fit into 1,000
  EXPECT_LE(socket->queued(), 1000U);
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == sent + 3; }));
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.drains == 1; }));
}

TEST_P(FullQueueTest, WhoDoesNotReadHoldsNobodyElseUp) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  DatagramPeer lazy(folder.socket("lazy")), eager(folder.socket("eager"));
  const auto socket = get(Datagram::bind(loop, folder.socket("s"), handler));
  fill_socket(*socket, lazy.address());
  ASSERT_FALSE(socket->writable());
  for (int i = 0; i < 5; ++i) {
    socket->send_to("more", lazy.address());
    socket->send_to(std::to_string(i), eager.address());
  }
  socket->flush();
  eager.read();
  EXPECT_EQ(eager.got, (std::vector<std::string>{"0", "1", "2", "3", "4"}));
}

TEST_P(FullQueueTest, EachReceiverKeepsItsOrder) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  DatagramPeer first(folder.socket("first")), second(folder.socket("second"));
  const auto socket = get(Datagram::bind(loop, folder.socket("s"), handler));
  std::vector<std::string> sent;
  for (int i = 0; i < 2000; ++i) {
    sent.push_back(std::to_string(i));
    socket->send_to(sent.back(), first.address());
    socket->send_to(sent.back(), second.address());
  }
  socket->flush();
  ASSERT_FALSE(socket->writable());
  ASSERT_TRUE(pump(loop, [&] { return first.read(), first.got.size() == sent.size(); }));
  ASSERT_TRUE(pump(loop, [&] { return second.read(), handler.drains == 1; }));
  second.read();
  EXPECT_EQ(first.got, sent);
  EXPECT_EQ(second.got, sent);
}

// The second exception is thrown while the socket does the work that the first exception has
// interrupted.
TEST_P(FullQueueTest, ExceptionsDoNotStopIt) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  DatagramPeer peer(folder.socket("peer"));
  const auto socket = get(Datagram::bind(loop, folder.socket("s"), handler));
  const std::size_t sent = fill_socket(*socket, peer.address());
  run_for(loop, milliseconds(10));
  handler.when_datagram = [](Datagram&, const Message&) { throw std::runtime_error("one"); };
  handler.when_batch_end = [](Datagram&) { throw std::runtime_error("two"); };
  ASSERT_TRUE(peer.send("x", socket->address()));
  int thrown = 0;
  for (int turn = 0; turn < 10; ++turn) {
    try {
      static_cast<void>(loop.poll().has_value());
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  EXPECT_EQ(thrown, 2);
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), handler.drains == 1; }));
  EXPECT_EQ(peer.got.size(), sent);
}

TEST_P(FullQueueTest, MayBeDestroyedInOnDrainAndWhileItIsFull) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  DatagramPeer peer(folder.socket("peer"));
  auto socket = get(Datagram::bind(loop, folder.socket("s"), handler));
  handler.when_drain = [&](Datagram&) { socket.reset(); };
  fill_socket(*socket, peer.address());
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), socket == nullptr; }));
  socket = get(Datagram::bind(loop, folder.socket("s"), handler));
  fill_socket(*socket, peer.address());
  socket.reset();
  EXPECT_LE(run_for(loop, milliseconds(10)), 2);
}

INSTANTIATE_TEST_SUITE_P(Backends, FullQueueTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
