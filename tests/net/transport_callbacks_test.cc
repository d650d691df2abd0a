// SPDX-License-Identifier: MIT
// The functions of a Transport are user code: they may throw, and use other objects.
#include <memory>
#include <string_view>

#include "reactor/net/server.h"
#include "reactor/net/transport.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

class TransportCallbacks : public LoopTest {};

enum class At { open, read, write };

// Moves bytes as a Stream without a transport does. Each call by that name first runs `act`.
class Acting final : public Transport {
 public:
  Acting(At at, Callback<void()> act) : at_(at), act_(std::move(act)) {}
  IoResult open(int) override {
    enter(At::open);
    return IoResult::bytes(0);
  }
  IoResult read(int fd, std::span<std::byte> buffer) override {
    enter(At::read);
    return Socket::receive(fd, buffer);
  }
  IoResult write(int fd, std::span<const std::byte> bytes) override {
    enter(At::write);
    return Socket::send(fd, bytes);
  }
  IoResult end_writing(int) noexcept override { return IoResult::bytes(0); }

 private:
  void enter(At at) {
    if (at == at_) act_();
  }

  At at_;
  Callback<void()> act_;
};

TEST_P(TransportCallbacks, AnExceptionEndsTheStream) {
  for (const At at : {At::open, At::read, At::write}) {
    for (const bool outside : {false, true}) {  // whether the write comes from a callback
      SCOPED_TRACE(static_cast<int>(at));
      Loop loop(options());
      Link link(loop);
      link.stream->set_transport(std::make_unique<Acting>(at, [] { throw Raised(); }));
      link.handler.when_open = [outside](Stream& stream) {
        if (!outside) stream.write("text");
      };
      link.peer.write("x");
      const auto go = [&] {
        link.start();
        if (outside) link.stream->write("text");
        static_cast<void>(run_bounded(loop, [&] { return link.handler.closes > 0; }));
      };
      EXPECT_THROW(go(), Raised);
      EXPECT_TRUE(pump(loop, [&] { return link.handler.closes > 0; }));
      EXPECT_EQ(link.handler.error, std::errc::operation_canceled);
    }
  }
}

// Otherwise the callbacks of the server's connections would overwrite the bytes that are written.
TEST_P(TransportCallbacks, NoCallbackRunsInsideAWrite) {
  Loop loop(options());
  auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  Peer client;
  client.fd = get(Socket::connect(server->addresses().at(0))).release();
  ASSERT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
  Link link(loop);
  bool drained = false;
  link.stream->set_transport(std::make_unique<Acting>(At::write, [&] {
    client.write("echo");
    server->drain([&drained] { drained = true; });
  }));
  link.handler.when_open = [](Stream& stream) { stream.write("text"); };
  link.start();
  EXPECT_TRUE(pump(loop, [&] {
    link.peer.read();
    client.read();
    return drained && client.over() && !link.peer.got.empty();
  }));
  EXPECT_EQ(client.got, "echo");
  EXPECT_EQ(link.peer.got, "text");
}

INSTANTIATE_TEST_SUITE_P(Backends, TransportCallbacks, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
