// SPDX-License-Identifier: MIT
// These tests cover closed connections that linger, and the limits on their number.
#include "reactor/net/internal/linger.h"

#include <sys/resource.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/net/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class LingerTest : public LoopTest {};

INSTANTIATE_TEST_SUITE_P(Backends, LingerTest, every_backend(), BackendName());

// This handler answers the first bytes and closes, as a server does after an error in an unfinished
// request.
class LastWord final : public StreamHandler {
  void on_data(Stream& stream, std::span<std::byte>) override {
    stream.write("bye");
    stream.close(true);
  }
};

// Returns a client that has read the answer, and neither closes nor sends.
Peer answered_client(Loop& loop, const Address& address) {
  Peer peer;
  peer.fd = get(Socket::connect(address)).release();
  const auto done = [&] { return peer.read(), peer.over(); };
  EXPECT_TRUE(pump(loop, [&] { return peer.write("?") == 1; }));
  EXPECT_TRUE(pump(loop, done));
  EXPECT_EQ(peer.got, "bye");
  EXPECT_TRUE(peer.end);
  return peer;
}

// Returns whether the connection was reset: after a reset even a write fails.
bool is_reset(const Peer& peer) {
  const ssize_t sent = ::send(peer.fd.get(), "!", 1, MSG_NOSIGNAL);
  return sent < 0 && (errno == EPIPE || errno == ECONNRESET);
}

template <class Server>
void expect_room_for_connections(Loop& loop, Server& server, std::size_t limit) {
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < 3 * limit; ++i) {
    peers.push_back(answered_client(loop, server.addresses()[0]));
  }
  EXPECT_EQ(server.accepted(), 3 * limit) << "those that linger keep nobody out";
  EXPECT_EQ(server.connections(), 0U);
  for (std::size_t i = 0; i < peers.size(); ++i) {
    EXPECT_EQ(is_reset(peers[i]), i < 2 * limit) << "the oldest give way, and only they: " << i;
  }
}

TEST_P(LingerTest, WithConnectionsThereAreNeverMoreThanTheServersLimit) {
  Loop loop(options());
  ServerLimits limits;
  limits.max_connections = 4;
  const auto server = get(Server<LastWord>::listen(loop, Address::loopback(0), limits));
  expect_room_for_connections(loop, *server, 4);
}

TEST_P(LingerTest, AnotherServersConnectionsAreNotReset) {
  Loop loop(options());
  ServerLimits one;
  one.max_connections = 1;
  const auto large = get(Server<LastWord>::listen(loop, Address::loopback(0)));
  const auto small = get(Server<LastWord>::listen(loop, Address::loopback(0), one));
  const Peer kept = answered_client(loop, large->addresses()[0]);
  const Peer first = answered_client(loop, small->addresses()[0]);
  const Peer second = answered_client(loop, small->addresses()[0]);
  EXPECT_FALSE(is_reset(kept));
  EXPECT_TRUE(is_reset(first));
  EXPECT_FALSE(is_reset(second));
}

TEST_P(LingerTest, TheyMayOutliveTheirServer) {
  Loop loop(options());
  auto server = get(Server<LastWord>::listen(loop, Address::loopback(0)));
  const Peer peer = answered_client(loop, server->addresses()[0]);
  server.reset();
  EXPECT_FALSE(is_reset(peer));
  EXPECT_TRUE(loop.poll());
}

TEST_P(LingerTest, OfALoopTheyHoldAnEighthOfTheDescriptors) {
  constexpr std::size_t kSome = 160, kShare = kSome / 8;
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  Loop loop(options());
  std::vector<std::unique_ptr<Link>> links;
  for (std::size_t i = 0; i < kShare + 3; ++i) {
    links.push_back(std::make_unique<Link>(loop));
    links.back()->start();
  }
  rlimit few = before;
  few.rlim_cur = kSome;
  ::setrlimit(RLIMIT_NOFILE, &few);
  const auto& options = links[0]->options;
  for (const auto& link : links) {
    link->stream = std::make_unique<Stream>(loop, link->stream->detach().value(), link->handler,
                                            options);  // all streams count in one group
    link->start();
    link->stream->close(true);
    EXPECT_TRUE(run_bounded(loop, [&] { return link->handler.closes > 0; }));
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  for (std::size_t i = 0; i < links.size(); ++i) {
    Peer& peer = links[i]->peer;
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(is_reset(peer), i < 3) << i;
  }
}

}  // namespace
}  // namespace reactor
