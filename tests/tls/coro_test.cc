// SPDX-License-Identifier: MIT
// Coroutines over TLS work as over plain sockets, and a handshake that fails is an error.
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/coro/coro.h"
#include "tests/support/fork.h"
#include "tests/tls/tls_kit.h"

namespace reactor::tls {
namespace {

using namespace std::chrono_literals;
using coro::Task;

class TlsCoro : public LoopTest {
 protected:
  [[nodiscard]] static std::unique_ptr<coro::Server> serve(Loop& loop, TransportFactory& context,
                                                           ServerLimits limits = {}) {
    limits.transports = &context;
    return get(coro::serve(loop, Address::loopback(0), limits, echo));
  }
  // Returns a plain socket that is connected or connecting.
  [[nodiscard]] static UniqueFd knock(const coro::Server& server) {
    return get(Socket::connect(server.addresses().front())).release();
  }
  [[nodiscard]] static coro::Stream client(Loop& loop, Socket socket, ClientContext& context) {
    return {loop, std::move(socket), get(context.transport_for("localhost"))};
  }

 private:
  static Task<> echo(coro::Stream stream) {
    std::array<std::byte, 16 * 1024> buffer;
    while (const std::size_t count = (co_await stream.read(buffer)).value()) {
      (co_await stream.write(std::span(buffer).first(count))).value();
    }
  }
};

Task<> send(coro::Stream& stream, std::string_view text) {
  (co_await stream.write(text)).value();
  (co_await stream.flush()).value();
  stream.shutdown();
}

TEST_P(TlsCoro, EchoesFromAClientToAServer) {
  Loop loop(options());
  const auto server_side = make_server();
  const auto client_side = make_client();
  auto server = serve(loop, *server_side);
  for (const std::size_t size : {std::size_t{5}, std::size_t{4} << 20}) {
    const std::string text = pattern(size);
    bool same = false;
    const auto body = [&]() -> Task<> {
      auto transport = client_side->transport_for("localhost").value();
      coro::Stream stream =
          (co_await coro::connect(server->addresses().front(), std::move(transport))).value();
      const coro::Spawned sender = coro::spawn(loop, send(stream, text));
      same = (co_await stream.read_all(size)).value() == text;
      EXPECT_EQ(Connection::of(stream.transport())->version(), "TLSv1.3");
    };
    const coro::Spawned spawned = coro::spawn(loop, body());
    EXPECT_TRUE(pump(loop, [&] { return spawned.done() && server->connections() == 0; }));
    EXPECT_TRUE(same) << size;
  }
}

TEST_P(TlsCoro, SpeaksToOthers) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Loop loop(options());
    const auto context = make_server();
    const auto server = serve(loop, *context);
    TlsPeer peer(knock(*server), peer_client(version));
    const std::string text = pattern(1 << 20);
    peer.write(text);
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == text.size(); }));
    EXPECT_TRUE(peer.got == text);
    peer.end_writing();
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.end; }));
    EXPECT_TRUE(pump(loop, [&] { return server->connections() == 0; }));
  }
}

TEST_P(TlsCoro, AnEndWithoutGoodbyeIsAnError) {
  Loop loop(options());
  const auto context = make_client();
  FdPair pair = make_tcp_pair();
  TlsPeer peer(std::move(pair.far), peer_server(TLS1_3_VERSION));
  peer.write("part");
  coro::Stream stream = client(loop, Socket(std::move(pair.near)), *context);
  std::error_code error;
  const auto body = [&]() -> Task<> {
    EXPECT_EQ((co_await stream.read_some()).value(), "part");
    ::shutdown(peer.socket.fd.get(), SHUT_WR);
    error = (co_await stream.read_some()).error();
  };
  const coro::Spawned spawned = coro::spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), spawned.done(); }));
  EXPECT_EQ(error, Errc::truncated);
}

// The first call on a stream waits for the handshake, whichever call it is.
TEST_P(TlsCoro, WhomIsNotBelievedIsTheErrorOfEachCall) {
  using Call = Task<std::error_code> (*)(coro::Stream&);
  const Call calls[] = {
      [](coro::Stream& stream) -> Task<std::error_code> {
        co_return (co_await stream.read_line(10)).error();
      },
      [](coro::Stream& stream) -> Task<std::error_code> {
        co_return (co_await stream.write("x")).error();
      },
      [](coro::Stream& stream) -> Task<std::error_code> {
        co_return (co_await stream.flush()).error();
      },
  };
  const Authority stranger("nobody knows it");
  for (const Call call : calls) {
    Loop loop(options());
    const auto server_side = make_server();
    const auto client_side = make_client({.ca_file = stranger.file()});
    const auto server = serve(loop, *server_side);
    std::error_code first, second;
    const auto body = [&]() -> Task<> {
      coro::Stream stream = client(loop, Socket(knock(*server)), *client_side);
      first = co_await call(stream);
      second = co_await call(stream);
    };
    const coro::Spawned spawned = coro::spawn(loop, body());
    EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
    EXPECT_TRUE(is_verification(first)) << first.message();
    EXPECT_EQ(second, first);
    EXPECT_TRUE(pump(loop, [&] { return server->accepted() == 1 && server->connections() == 0; }));
  }
}

TEST_P(TlsCoro, AWriterGoesOnWhenHandsAreShaken) {
  Loop loop(options());
  const auto context = make_client();
  FdPair pair = make_tcp_pair();
  TlsPeer peer(std::move(pair.far), peer_server(TLS1_3_VERSION));
  coro::Stream stream = client(loop, Socket(std::move(pair.near)), *context);
  const auto body = [&]() -> Task<> {
    (co_await stream.write("hello")).value();
    (co_await stream.flush()).value();
  };
  const coro::Spawned spawned = coro::spawn(loop, body());
  run_for(loop, 2ms);
  EXPECT_FALSE(spawned.done());
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "hello"; }));
  EXPECT_TRUE(spawned.done());
}

// The first four connections have only 20 ms for the handshake.
class Hasty final : public TransportFactory {
 public:
  std::unique_ptr<Transport> make_transport() override {
    return made_++ < 4 ? hasty_->make_transport() : patient_->make_transport();
  }

 private:
  int made_ = 0;
  std::unique_ptr<ServerContext> hasty_ = make_server({.handshake_timeout = 20ms});
  std::unique_ptr<ServerContext> patient_ = make_server();
};

TEST_P(TlsCoro, AHandshakeThatFailsHoldsNoPlace) {
  Loop loop(options());
  Hasty server_side;
  ServerLimits limits;
  limits.max_connections = 2;
  const auto server = serve(loop, server_side, limits);
  for (const std::string_view text : {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01garbage", "", ""}) {
    Peer peer;
    peer.fd = knock(*server);
    peer.write(text);
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); })) << text;
  }
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 0; }));
  EXPECT_EQ(server->accepted(), 4u);
  TlsPeer peer(knock(*server), peer_client(TLS1_3_VERSION));
  peer.write("hello");
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "hello"; }));
}

TEST_P(TlsCoro, AClientMayBeGivenUpWhileItShakesHands) {
  using Call = Task<> (*)(coro::Stream);
  const Call calls[] = {
      [](coro::Stream stream) -> Task<> { (void)co_await stream.read_some(); },
      [](coro::Stream stream) -> Task<> { (void)co_await stream.write("never sent"); },
      [](coro::Stream stream) -> Task<> { (void)co_await stream.flush(); },
  };
  for (const Call call : calls) {
    Loop loop(options());
    Peer peer;
    {
      const auto context = make_client();
      FdPair pair = make_tcp_pair();
      peer.fd = std::move(pair.far);
      coro::Spawned spawned =
          coro::spawn(loop, call(client(loop, Socket(std::move(pair.near)), *context)));
      run_for(loop, 2ms);
      EXPECT_FALSE(spawned.done());
      spawned.cancel();
    }
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
    EXPECT_TRUE(run_to_end(loop));
  }
}

TEST_P(TlsCoro, AServerMayGoWhileItShakesHands) {
  Loop loop(options());
  Peer silent;
  {
    const auto context = make_server();
    const auto server = serve(loop, *context);
    silent.fd = knock(*server);
    EXPECT_TRUE(pump(loop, [&] { return server->connections() == 1; }));
  }
  EXPECT_TRUE(pump(loop, [&] { return silent.read(), silent.over(); }));
  EXPECT_TRUE(run_to_end(loop));
}

TEST_P(TlsCoro, ALoopMayEndWhileHandsAreShaken) {
  const auto server_side = make_server();
  const auto client_side = make_client();
  std::unique_ptr<coro::Server> server;
  coro::Stream stream;
  Peer silent;
  {
    Loop loop(options());
    server = serve(loop, *server_side);
    silent.fd = knock(*server);
    FdPair pair = make_tcp_pair();
    stream = client(loop, Socket(std::move(pair.near)), *client_side);
    EXPECT_TRUE(pump(loop, [&] { return server->connections() == 1; }));
  }
}

TEST_P(TlsCoro, DrainLetsHandsBeShakenAndThenSaysTheEnd) {
  Loop loop(options());
  const auto context = make_server();
  const auto server = serve(loop, *context);
  TlsPeer idle(knock(*server), peer_client(TLS1_3_VERSION));
  idle.write("hello");
  EXPECT_TRUE(pump(loop, [&] { return idle.read(), idle.got == "hello"; }));
  TlsPeer late(knock(*server), peer_client(TLS1_3_VERSION));
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 2; }));
  bool drained = false;
  server->drain([&] { drained = true; });
  EXPECT_TRUE(pump(loop, [&] { return idle.read(), idle.end; }));
  EXPECT_FALSE(drained);
  EXPECT_TRUE(pump(loop, [&] { return late.read(), late.end; }));
  EXPECT_EQ(late.failure, "");
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
}

class TlsCoroFork : public TlsCoro {};

// G9: a child that drops its copies must send nothing on the parent's connections.
TEST_P(TlsCoroFork, AChildLeavesTheConnectionToItsParent) {
  Loop loop(options());
  const auto context = make_server();
  auto server = serve(loop, *context);
  TlsPeer peer(knock(*server), peer_client(TLS1_3_VERSION));
  peer.write("hello");
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "hello"; }));
  EXPECT_EQ(in_child([&] { server.reset(); }), 0);
  peer.write(" again");
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "hello again"; }));
  EXPECT_FALSE(peer.end);
}

INSTANTIATE_TEST_SUITE_P(Backends, TlsCoro, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, TlsCoroFork, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::tls
