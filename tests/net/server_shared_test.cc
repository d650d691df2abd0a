// SPDX-License-Identifier: MIT
// In these tests, servers share their listening sockets with other processes.
#include <memory>
#include <utility>
#include <vector>

#include "reactor/net/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

class SharedServer : public LoopTest {
 protected:
  // Returns how many of three waiting connections a server with a limit of one accepts.
  static std::size_t accepted(LoopOptions options, bool balanced) {
    Loop loop(std::move(options));
    ListenOptions listen;
    listen.reuse_port = balanced;
    std::vector<Socket> sockets;
    sockets.push_back(get(Socket::listen(Address::loopback(0), listen)));
    const Address address = sockets.front().local().value();
    ServerLimits limits;
    limits.max_connections = 1;
    const auto server = get(Server<Echo>::adopt(loop, std::move(sockets), std::move(limits)));
    server->share_listeners();
    std::vector<Peer> peers;
    for (int i = 0; i < 3; ++i) peers.push_back(connect_peer(address));
    for (int turn = 0; turn < 10; ++turn) EXPECT_TRUE(loop.poll());
    return server->connections();
  }
};

// If a connection comes just before the server reaches its limit, the kernel may report it to this
// process only. A full server therefore accepts once more.
TEST_P(SharedServer, OneThatIsFullTakesTheConnectionWhoseEventItMayHave) {
  EXPECT_EQ(accepted(options(), false), 2u);
}

// A balanced socket has a queue of its own, so the limit is exact.
TEST_P(SharedServer, ABalancedSocketIsNotShared) { EXPECT_EQ(accepted(options(), true), 1u); }

INSTANTIATE_TEST_SUITE_P(Backends, SharedServer, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
