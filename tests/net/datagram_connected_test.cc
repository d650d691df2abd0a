// SPDX-License-Identifier: MIT
// These tests cover datagrams on connected sockets.
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/datagram_kit.h"

namespace reactor {
namespace {

class ConnectedTest : public LoopTest {};

TEST_P(ConnectedTest, HearsItsPeerOnly) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0)), stranger(Address::loopback(0));
  const auto client = get(Datagram::connect(loop, peer.address(), handler));
  EXPECT_EQ(client->peer().value(), peer.address());
  client->send("hello");
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), !peer.got.empty(); }));
  EXPECT_EQ(peer.from, client->address());
  EXPECT_TRUE(stranger.send("stranger", client->address()));
  EXPECT_TRUE(peer.send("peer", client->address()));
  ASSERT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
  EXPECT_EQ(handler.got, std::vector<std::string>{"peer"});
}

// Datagrams that other sockets sent before connect() are queued ahead of the peer's.
TEST_P(ConnectedTest, HearsNobodyFromBefore) {
  const TemporaryFolder folder;
  for (const bool is_unix : {false, true}) {
    Loop loop(options());
    const auto place = [&](const std::string& name) {
      return is_unix ? folder.socket(name) : Address::loopback(0);
    };
    DatagramPeer peer(place("peer")), stranger(place("stranger")), bound(place("bound"));
    ASSERT_TRUE(stranger.send("stranger", bound.address()));
    ASSERT_TRUE(peer.send("early", bound.address()));
    ASSERT_TRUE(stranger.send("stranger", bound.address()));
    const Address to = peer.address();
    ASSERT_EQ(::connect(bound.fd(), to.data(), to.size()), 0);
    DatagramRecorder handler;
    const auto client = get(Datagram::adopt(loop, Socket(UniqueFd(::dup(bound.fd()))), handler));
    ASSERT_TRUE(peer.send("late", client->address()));
    ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() >= 2; }));
    EXPECT_EQ(handler.got, (std::vector<std::string>{"early", "late"})) << is_unix;
    EXPECT_EQ(client->stats().received, 2U);
  }
}

// The peer is unnamed at first, and binds a name later.
TEST_P(ConnectedTest, APairMayGetANameLater) {
  Loop loop(options());
  const TemporaryFolder folder;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()), 0);
  const UniqueFd other(ends[1]);
  DatagramRecorder handler;
  handler.echoes = true;
  const auto client = get(Datagram::adopt(loop, Socket(UniqueFd(ends[0])), handler));
  ASSERT_EQ(::send(other.get(), "a", 1, 0), 1);
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() == 1; }));
  const Address name = folder.socket("other");
  ASSERT_EQ(::bind(other.get(), name.data(), name.size()), 0);
  ASSERT_EQ(::send(other.get(), "b", 1, 0), 1);
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() == 2; }));
  std::string bytes(2, ' ');
  for (char& byte : bytes) EXPECT_EQ(::recv(other.get(), &byte, 1, MSG_DONTWAIT), 1);
  EXPECT_EQ(bytes, "ab");
  EXPECT_TRUE(handler.errors.empty());
}

TEST_P(ConnectedTest, MayBindAsWell) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0));
  DatagramOptions settings;
  settings.local = get(Address::parse("127.0.0.1:0"));
  const auto client = get(Datagram::connect(loop, peer.address(), handler, settings));
  EXPECT_EQ(client->address().with_port(0), settings.local);

  const TemporaryFolder folder;
  settings.local = folder.socket("client");
  DatagramPeer unix_peer(folder.socket("server"));
  auto unix_client = get(Datagram::connect(loop, folder.socket("server"), handler, settings));
  EXPECT_TRUE(std::filesystem::exists(folder.file("client")));
  EXPECT_TRUE(unix_peer.send("x", settings.local));
  EXPECT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
  unix_client.reset();
  EXPECT_FALSE(std::filesystem::exists(folder.file("client")));
}

TEST_P(ConnectedTest, AnswersItsPeer) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramOptions settings;
  for (const char* const at : {"127.0.0.1:0", "[::1]:0", "unix:"}) {
    const bool is_unix = at[0] == 'u';
    if (at[0] == '[' && Address::any(0).family() != AF_INET6) continue;
    if (is_unix) settings.local = folder.socket("client");
    DatagramRecorder handler;
    handler.echoes = true;
    DatagramPeer peer(is_unix ? folder.socket("peer") : get(Address::parse(at)));
    const auto client = get(Datagram::connect(loop, peer.address(), handler, settings));
    ASSERT_TRUE(peer.send("answered", client->address()));
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 1; })) << at;
    client->send_to("told", peer.address());
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 2; })) << at;
    EXPECT_EQ(peer.got, (std::vector<std::string>{"answered", "told"}));
    EXPECT_TRUE(handler.errors.empty());
  }
}

// A connected Datagram passes no destination to the system, because some systems refuse one. Here a
// destination would fail everywhere: the file of the peer's socket is gone.
TEST_P(ConnectedTest, NamesNobodyToTheSystem) {
  for (const bool batches : {true, false}) {
    Loop loop(options());
    const TemporaryFolder folder;
    DatagramOptions settings;
    settings.batches = batches;
    settings.local = folder.socket("client");
    DatagramRecorder handler;
    handler.echoes = true;
    DatagramPeer peer(folder.socket("peer"));
    const auto client = get(Datagram::connect(loop, peer.address(), handler, settings));
    ASSERT_TRUE(std::filesystem::remove(folder.file("peer")));
    client->send_to("told", peer.address());
    ASSERT_TRUE(peer.send("answered", client->address()));
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 2; })) << batches;
    EXPECT_EQ(peer.got, (std::vector<std::string>{"told", "answered"}));
    EXPECT_TRUE(handler.errors.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ConnectedTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
