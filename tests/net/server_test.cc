// SPDX-License-Identifier: MIT
#include "reactor/net/server.h"

#include <sys/socket.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class ServerTest : public LoopTest {};

// Tally counts the Numbered objects that were made, are alive, and were closed.
struct Tally {
  int made = 0, alive = 0, closed = 0;
};
class Numbered final : public StreamHandler {
 public:
  using Context = Tally;
  explicit Numbered(Tally& tally) : tally_(tally), number_(++tally.made) { ++tally_.alive; }
  Numbered(const Numbered&) = delete;
  Numbered& operator=(const Numbered&) = delete;
  ~Numbered() { --tally_.alive; }
  void on_data(Stream& stream, std::span<std::byte>) override {
    stream.write(std::to_string(number_));
  }
  void on_close(Stream&, std::error_code) noexcept override { ++tally_.closed; }
  [[nodiscard]] int number() const { return number_; }

 private:
  Tally& tally_;
  int number_;
};

bool answered(Loop& loop, Peer& peer, std::string_view text) {
  return pump(loop, [&] { return peer.read(), peer.got == text || peer.over(); }) &&
         peer.got == text;
}

TEST_P(ServerTest, DumpsNameTheLineThatMadeIt) {
  Loop loop(options());
  const int line = __LINE__ + 1;
  auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  Peer peer = connect_peer(server->addresses().front());
  peer.write("x");
  ASSERT_TRUE(answered(loop, peer, "x"));
  std::ostringstream out;
  loop.dump(out);
  const std::string place = "server_test.cc:" + std::to_string(line);
  const std::size_t listener = out.str().find(place);
  ASSERT_NE(listener, std::string::npos) << out.str();
  EXPECT_NE(out.str().find(place, listener + 1), std::string::npos)
      << "and a stream: " << out.str();
}

TEST_P(ServerTest, ServesManyConnections) {
  Loop loop(options());
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  ASSERT_EQ(server->addresses().size(), 1U);
  std::vector<Peer> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(connect_peer(server->addresses()[0]));
    peers.back().write("hello " + std::to_string(i));
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(answered(loop, peers[static_cast<std::size_t>(i)], "hello " + std::to_string(i)));
  }
  EXPECT_EQ(server->connections(), 100U);
  EXPECT_EQ(server->accepted(), 100U);
  peers.clear();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
}

TEST_P(ServerTest, EachConnectionHasItsOwnHandlerMadeFromTheContext) {
  Loop loop(options());
  Tally tally;
  const auto server =
      get(Server<Numbered>::listen(loop, Address::loopback(0), ServerLimits{}, tally));
  Peer first = connect_peer(server->addresses()[0]);
  first.write("?");
  EXPECT_TRUE(answered(loop, first, "1"));
  Peer second = connect_peer(server->addresses()[0]);
  second.write("?");
  EXPECT_TRUE(answered(loop, second, "2"));
  EXPECT_EQ(tally.alive, 2);
  int sum = 0;
  server->for_each([&](Stream& stream, Numbered& handler) {
    sum += handler.number();
    EXPECT_FALSE(stream.closing());
  });
  EXPECT_EQ(sum, 3);
  first.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return tally.alive == 1; }));
  EXPECT_EQ(tally.closed, 1);
  EXPECT_EQ(server->connections(), 1U);
}

TEST_P(ServerTest, ListensAtSeveralAddresses) {
  Loop loop(options());
  const std::vector<Address> two = {Address::loopback(0), Address::loopback(0)};
  const auto server =
      get(Server<Echo>::listen(loop, std::span<const Address>(two), ServerLimits{}));
  const auto addresses = server->addresses();
  ASSERT_EQ(addresses.size(), 2U);
  EXPECT_FALSE(addresses[0] == addresses[1]);
  for (const Address& address : addresses) {
    Peer peer = connect_peer(address);
    peer.write("hi");
    EXPECT_TRUE(answered(loop, peer, "hi"));
  }
}

TEST_P(ServerTest, AnAddressThatIsTakenIsAnErrorAndLeavesNothingBound) {
  Loop loop(options());
  const Socket taken = get(Socket::listen(Address::loopback(0), {}));
  const std::vector<Address> two = {Address::loopback(0), taken.local().value()};
  EXPECT_EQ(Server<Echo>::listen(loop, std::span<const Address>(two), ServerLimits{}).error(),
            std::errc::address_in_use);
  EXPECT_EQ(loop.counts().transports, 0U);
}

TEST_P(ServerTest, AdoptsSocketsThatListenAlready) {
  Loop loop(options());
  std::vector<Socket> sockets;
  sockets.push_back(get(Socket::listen(Address::loopback(0), {})));
  const Address address = sockets[0].local().value();
  const auto server = get(Server<Echo>::adopt(loop, std::move(sockets), ServerLimits{}));
  Peer peer = connect_peer(address);
  peer.write("hi");
  EXPECT_TRUE(answered(loop, peer, "hi"));
}

TEST_P(ServerTest, TheLimitOfConnectionsHoldsOthersInTheQueue) {
  Loop loop(options());
  ServerLimits limits;
  limits.max_connections = 3;
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0), limits));
  std::vector<Peer> peers;
  for (int i = 0; i < 6; ++i) {
    peers.push_back(connect_peer(server->addresses()[0]));
    peers.back().write("hi");
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(answered(loop, peers[i], "hi"));
  EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "no spinning at the limit";
  EXPECT_EQ(server->connections(), 3U);
  peers[0].fd.reset();
  peers[1].fd.reset();
  EXPECT_TRUE(answered(loop, peers[3], "hi"));
  EXPECT_TRUE(answered(loop, peers[4], "hi"));
  EXPECT_EQ(server->connections(), 3U);
  EXPECT_EQ(server->accepted(), 5U);
}

TEST_P(ServerTest, DestroyingItClosesEverythingWithoutCallbacks) {
  Loop loop(options());
  Tally tally;
  auto server = get(Server<Numbered>::listen(loop, Address::loopback(0), ServerLimits{}, tally));
  Peer peer = connect_peer(server->addresses()[0]);
  peer.write("?");
  EXPECT_TRUE(answered(loop, peer, "1"));
  server.reset();
  EXPECT_EQ(tally.alive, 0);
  EXPECT_EQ(tally.closed, 0);
  peer.read();
  EXPECT_TRUE(peer.over());
  EXPECT_TRUE(loop.run());
}

TEST_P(ServerTest, DrainAcceptsWhatWaitsFinishesAllAndThenCallsDone) {
  struct Polite final : StreamHandler {
    void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
    void on_shutdown(Stream& stream) override {
      stream.write("bye");
      stream.close();
    }
  };
  Loop loop(options());
  const auto server = get(Server<Polite>::listen(loop, Address::loopback(0)));
  Peer served = connect_peer(server->addresses()[0]);
  served.write("hi");
  EXPECT_TRUE(answered(loop, served, "hi"));
  Peer waiting = connect_peer(server->addresses()[0]);  // still in the queue
  int done = 0;
  server->drain([&] { ++done; });
  EXPECT_EQ(done, 0) << "from the loop";
  EXPECT_TRUE(server->addresses().empty());
  EXPECT_TRUE(pump(loop, [&] { return done > 0; }));
  EXPECT_EQ(server->connections(), 0U);
  served.read();
  waiting.read();
  EXPECT_EQ(served.got, "hibye");
  EXPECT_EQ(waiting.got, "bye");
  EXPECT_TRUE(served.end && waiting.end);
  run_for(loop, milliseconds(5));
  EXPECT_EQ(done, 1);
}

TEST_P(ServerTest, DrainOfAnIdleServerIsDoneInTheNextTurn) {
  Loop loop(options());
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  int first = 0, second = 0;
  server->drain([&] { ++first; });
  server->drain([&] { ++second; });  // replaces the callback
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
}

TEST_P(ServerTest, DoneMayDestroyTheServer) {
  Loop loop(options());
  auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  server->drain([&] { server.reset(); });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(server, nullptr);
}

TEST_P(ServerTest, StreamsAreDumpedWithThePlaceOfTheirServer) {
  Loop loop(options());
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  Peer peer = connect_peer(server->addresses()[0]);
  peer.write("hi");
  EXPECT_TRUE(answered(loop, peer, "hi"));
  std::ostringstream out;
  loop.dump(out);
  EXPECT_NE(out.str().find("stream "), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("listener "), std::string::npos) << out.str();
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
