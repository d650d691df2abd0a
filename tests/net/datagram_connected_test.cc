// SPDX-License-Identifier: MIT
// Datagrams between two that know each other.
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

INSTANTIATE_TEST_SUITE_P(Backends, ConnectedTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
