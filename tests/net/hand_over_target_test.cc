// SPDX-License-Identifier: MIT
// The target of a hand-over is user code: it may end the connection that it gets, and its server.
#include <memory>

#include "reactor/net/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

class HandOverTargetTest : public LoopTest {};

// Agrees to every move.
struct Willing final : StreamHandler {
  void on_data(Stream&, std::span<std::byte>) override {}
  HandOver on_hand_over(Stream&, std::vector<std::byte>&) override { return HandOver::now; }
  void on_close(Stream&, std::error_code) noexcept override { ++closes; }
  int closes = 0;
};

// Runs `act`, and then answers.
struct ActingTarget final : HandOverTarget {
  HandOverReply send(int, std::span<const std::byte>) noexcept override {
    act();
    return reply;
  }
  Callback<void()> act;
  HandOverReply reply = HandOverReply::taken;
};

TEST_P(HandOverTargetTest, MayDestroyTheServer) {
  for (const HandOverReply reply : {HandOverReply::taken, HandOverReply::never}) {
    Loop loop(options());
    auto server = get(Server<Willing>::listen(loop, Address::loopback(0)));
    Peer peer;
    peer.fd = get(Socket::connect(server->addresses().at(0))).release();
    ASSERT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
    ActingTarget target;
    target.reply = reply;
    target.act = [&server] { server.reset(); };
    server->hand_over(target, [] { ADD_FAILURE(); });
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(server, nullptr);
  }
}

TEST_P(HandOverTargetTest, MayEndOrDestroyTheStream) {
  for (const HandOverReply reply : {HandOverReply::taken, HandOverReply::never}) {
    for (const bool destroys : {false, true}) {
      Loop loop(options());
      FdPair pair = make_tcp_pair();
      Peer peer;
      peer.fd = std::move(pair.far);
      Willing handler;
      const StreamOptions settings;
      auto stream = std::make_unique<Stream>(loop, Socket(std::move(pair.near)), handler, settings);
      stream->start();
      ActingTarget target;
      target.reply = reply;
      target.act = [&] { destroys ? stream.reset() : stream->close(); };
      static_cast<void>(stream->offer_to(target));
      EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
      EXPECT_EQ(handler.closes, destroys ? 0 : 1);
    }
  }
}

TEST_P(HandOverTargetTest, AStreamThatHasNotStartedStays) {
  Loop loop(options());
  Link link(loop);
  Nobody target;
  EXPECT_EQ(link.stream->offer_to(target), Stream::Offer::not_idle);
}

// A server that drains while it adopts a connection asks the Stream before its start.
TEST_P(HandOverTargetTest, AnAdoptedStreamThatWasAskedToEndLearnsItAfterOnAdopt) {
  Loop loop(options());
  Link link(loop);
  link.stream->request_shutdown();
  EXPECT_EQ(link.handler.shutdowns, 0);
  link.stream->start_adopted({});
  EXPECT_EQ(link.handler.opens, 1);
  EXPECT_EQ(link.handler.shutdowns, 1);
  EXPECT_TRUE(run_to_close(loop, link));
}

INSTANTIATE_TEST_SUITE_P(Backends, HandOverTargetTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
