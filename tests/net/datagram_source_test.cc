// SPDX-License-Identifier: MIT
// These tests send datagrams without batches: each answer takes a call of its own, and leaves from
// the address to which the question was sent.
#include "tests/support/datagram_kit.h"

namespace reactor {
namespace {

class DatagramSource : public LoopTest {};

TEST_P(DatagramSource, AnAnswerWithoutBatchesLeavesOnce) {
  Loop loop(options());
  DatagramOptions settings;
  settings.batches = false;
  DatagramRecorder handler;
  handler.echoes = true;
  const auto server = get(Datagram::bind(loop, parse_address("0.0.0.0:0"), handler, settings));
  const Address to = parse_address("127.0.0.1:" + std::to_string(server->address().port()));
  DatagramPeer peer(parse_address("127.0.0.1:0"));
  for (const char* const text : {"one", "two"}) ASSERT_TRUE(peer.send(text, to));
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() >= 2; }));
  peer.read();
  EXPECT_EQ(peer.got, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(server->stats().send_calls, 2U);
  EXPECT_TRUE(handler.errors.empty());
}

// The source address did not cause this error, so the socket does not try again without one.
TEST_P(DatagramSource, AnAnswerThatIsTooLargeIsTriedOnce) {
  Loop loop(options());
  DatagramOptions settings;
  settings.batches = false;
  DatagramRecorder handler;
  handler.when_datagram = [](Datagram& socket, const Message& message) {
    socket.reply(message, std::string(65508, 'x'));
    socket.reply(message, "after");
  };
  const auto server = get(Datagram::bind(loop, parse_address("0.0.0.0:0"), handler, settings));
  DatagramPeer peer(parse_address("127.0.0.1:0"));
  const Address to = parse_address("127.0.0.1:" + std::to_string(server->address().port()));
  ASSERT_TRUE(peer.send("?", to));
  ASSERT_TRUE(
      pump(loop, [&] { return peer.read(), !handler.errors.empty() && !peer.got.empty(); }));
  EXPECT_EQ(peer.got, std::vector<std::string>{"after"});
  ASSERT_EQ(handler.errors.size(), 1U);
  EXPECT_EQ(handler.errors[0], std::errc::message_size);
  EXPECT_EQ(server->stats().send_calls, 2U);
}

INSTANTIATE_TEST_SUITE_P(Backends, DatagramSource, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
