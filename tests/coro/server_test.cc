// SPDX-License-Identifier: MIT
// These tests cover serve() and Listener: one coroutine per connection, limits, drain.
#include <sys/socket.h>

#include <cstring>

#include "tests/coro/coro_test.h"
#include "tests/support/script_transport.h"

namespace reactor::coro {
namespace {

class Serving : public CoroTest {
 protected:
  [[nodiscard]] static bool ask(Loop& loop, Peer& peer, std::string_view text,
                                std::string_view answer) {
    const auto sent = [&] {
      text.remove_prefix(peer.write(text));
      return text.empty();
    };
    return pump(loop, sent) && pump(loop, [&] { return peer.read(), peer.got == answer; });
  }
};

// serve() takes these handlers, and does not compile with any other.
static_assert(StreamCoroutine<Task<> (*)(Stream)>);
static_assert(StreamCoroutine<Task<> (*)(Stream&)>);
static_assert(!StreamCoroutine<int (*)(Stream)>, "no coroutine");
static_assert(!StreamCoroutine<Task<int> (*)(Stream)>, "its result would be lost");
static_assert(!StreamCoroutine<Task<> (*)(int)>);
static_assert(!StreamCoroutine<Task<> (*)(Stream, int)>);
static_assert(!StreamCoroutine<int>);

TEST_P(Serving, EchoesToMany) {
  Loop loop(options());
  const auto server = get(serve(loop, Address::loopback(0), echo));
  std::vector<Peer> peers;
  for (int i = 0; i < 20; ++i) peers.push_back(connect_peer(server->addresses().front()));
  for (Peer& peer : peers) EXPECT_TRUE(ask(loop, peer, "hello", "hello"));
  EXPECT_EQ(server->connections(), 20u);
  EXPECT_EQ(server->accepted(), 20u);
  peers.clear();
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 0; }));
}

TEST_P(Serving, TakesAReferenceOrAnObjectToo) {
  Loop loop(options());
  const std::string greeting = "hi ";
  const auto handler = [greeting](Stream& stream) -> Task<> {
    (co_await stream.write(greeting)).value();
    (co_await stream.write((co_await stream.read_line(100)).value().value())).value();
  };
  const auto server = get(serve(loop, Address::loopback(0), handler));
  Peer peer = connect_peer(server->addresses().front());
  EXPECT_TRUE(ask(loop, peer, "you\n", "hi you"));
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.end; })) << "its end is the connection's";
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 0; }));
}

TEST_P(Serving, ASleeperHoldsNobodyUp) {
  Loop loop(options());
  const auto handler = [](Stream stream) -> Task<> {
    while (const auto line = (co_await stream.read_line(100)).value()) {
      const bool slow = *line == "slow", naps = *line == "nap";
      if (slow) co_await sleep_for(1h);
      if (naps) co_await sleep_for(20ms);
      (co_await stream.write(naps ? "late" : "soon")).value();
    }
  };
  const auto server = get(serve(loop, Address::loopback(0), handler));
  Peer sleeper = connect_peer(server->addresses().front());
  Peer other = connect_peer(server->addresses().front());
  EXPECT_TRUE(ask(loop, other, "hi\n", "soon"));
  sleeper.write("slow\n");
  for (int i = 0; i < 5; ++i) {
    other.got.clear();
    EXPECT_TRUE(ask(loop, other, "hi\n", "soon"));
  }
  sleeper.read();
  EXPECT_EQ(sleeper.got, "");
  other.got.clear();
  const TimePoint begin = monotonic_now();
  EXPECT_TRUE(ask(loop, other, "nap\n", "late"));
  EXPECT_GE(monotonic_now() - begin, 20ms);
}

TEST_P(Serving, WhatTheOutsideDoesEndsOnlyItsConnection) {
  Loop loop(options());
  const auto handler = [](Stream stream) -> Task<> {
    const auto line = (co_await stream.read_line(10)).value();
    EXPECT_FALSE(line);
  };
  const auto server = get(serve(loop, Address::loopback(0), handler));
  Peer loud = connect_peer(server->addresses().front());
  EXPECT_TRUE(pump(loop, [&] { return loud.write("much too long a line") > 0; }));
  EXPECT_TRUE(pump(loop, [&] { return loud.read(), loud.over(); }));
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 0; }));
}

TEST_P(Serving, AnyOtherExceptionLeavesRun) {
  Loop loop(options());
  const auto handler = [](Stream stream) -> Task<> {
    (void)co_await stream.read_some();
    throw std::logic_error("a bug");
  };
  const auto server = get(serve(loop, Address::loopback(0), handler));
  Peer peer = connect_peer(server->addresses().front());
  const auto talk = [&] {
    (void)pump(loop, [&] { return peer.write("x") == 1; });
    (void)run_bounded(
        loop, [&] { return false; }, 2s);
  };
  EXPECT_THROW(talk(), std::logic_error);
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
  EXPECT_EQ(server->connections(), 0u);
}

TEST_P(Serving, DrainLetsFinish) {
  Loop loop(options());
  const auto handler = [](Stream stream) -> Task<> {
    while (const auto line = (co_await stream.read_line(100)).value()) {
      const std::string text(*line);
      co_await sleep_for(20ms);
      (co_await stream.write(text)).value();
    }
    (co_await stream.write(" bye")).value();
  };
  const auto server = get(serve(loop, Address::loopback(0), handler));
  Peer idle = connect_peer(server->addresses().front());
  Peer busy = connect_peer(server->addresses().front());
  Peer half = connect_peer(server->addresses().front());
  EXPECT_TRUE(pump(loop, [&] { return busy.write("work\n") > 0; }));
  EXPECT_TRUE(pump(loop, [&] { return half.write("unfin") > 0; }));
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 3; }));
  run_for(loop, 2ms);
  bool drained = false;
  server->drain([&] { drained = true; });
  EXPECT_TRUE(pump(loop, [&] { return idle.read(), idle.end; }));
  EXPECT_EQ(idle.got, " bye");
  EXPECT_TRUE(pump(loop, [&] { return busy.read(), busy.end; }));
  EXPECT_EQ(busy.got, "work bye");
  EXPECT_FALSE(drained);
  half.write("ished\n");
  EXPECT_TRUE(pump(loop, [&] { return half.read(), half.end; }));
  EXPECT_EQ(half.got, "unfinished bye");
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
  EXPECT_EQ(server->connections(), 0u);
}

TEST_P(Serving, AConnectionWhoseHeaderComesAmidADrainIsAskedToEnd) {
  Loop loop(options());
  ServerLimits limits;
  limits.proxy.protocol = ProxyProtocol::v1;
  limits.proxy.allow_from = {get(Network::parse("127.0.0.0/8"))};
  int ended = 0;
  const auto handler = [&](Stream stream) -> Task<> {
    const Result<std::string_view> text = co_await stream.read_some();
    if (text && text->empty()) ++ended;
  };
  auto server = get(serve(loop, Address::loopback(0), limits, handler));
  Peer peer = connect_peer(server->addresses()[0]);
  ASSERT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
  const std::size_t before = loop.counts().transports;
  bool drained = false;
  server->drain([&] { drained = true; });
  EXPECT_TRUE(run_bounded(loop, [&] { return loop.counts().transports < before; }))
      << "the listener is closed, and all were asked to end";
  EXPECT_FALSE(drained);
  peer.write("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n");
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
  EXPECT_EQ(ended, 1);
}

TEST_P(Serving, AConnectionCountsUntilAllIsSent) {
  Loop loop(options());
  const std::string text = pattern(4 << 20);
  const auto handler = [&](Stream stream) -> Task<> { (co_await stream.write(text)).value(); };
  const auto server = get(serve(loop, Address::loopback(0), handler));
  Peer peer = connect_peer(server->addresses().front());
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 1; }));
  bool drained = false;
  server->drain([&] { drained = true; });
  run_for(loop, 5ms);
  EXPECT_FALSE(drained);
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.end; }));
  EXPECT_TRUE(peer.got == text);
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
}

TEST_P(Serving, AServerThatGoesEndsItsHandshakesToo) {
  struct Factory final : TransportFactory {
    std::unique_ptr<Transport> make_transport() override {
      return std::make_unique<ScriptTransport>(script);
    }
    ScriptTransport::Script script;
  } factory;
  factory.script.open_rounds = 1;
  Loop loop(options());
  ServerLimits limits;
  limits.transports = &factory;
  auto server = get(serve(loop, Address::loopback(0), std::move(limits), echo));
  Peer peer = connect_peer(server->addresses().front());
  ASSERT_TRUE(pump(loop, [&] { return factory.script.opens > 0; }));
  server.reset();
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
  EXPECT_TRUE(factory.script.destroyed);
}

TEST_P(Serving, AtTheLimitTheKernelKeepsTheRest) {
  Loop loop(options());
  ServerLimits limits;
  limits.max_connections = 1;
  const auto server = get(serve(loop, Address::loopback(0), std::move(limits), echo));
  Peer first = connect_peer(server->addresses().front());
  EXPECT_TRUE(ask(loop, first, "one", "one"));
  Peer second = connect_peer(server->addresses().front());
  run_for(loop, 3ms);
  EXPECT_EQ(server->connections(), 1u);
  first.fd.reset();
  EXPECT_TRUE(ask(loop, second, "two", "two"));
}

TEST_P(Serving, DestroyingItEndsTheCoroutines) {
  Loop loop(options());
  int alive = 0;
  Stream kept;
  Peer peer;
  {
    const auto handler = [&](Stream stream) -> Task<> {
      const Alive here(alive);
      if (alive == 2) kept = std::move(stream);
      co_await sleep_for(kForever);
    };
    const auto server = get(serve(loop, Address::loopback(0), handler));
    peer = connect_peer(server->addresses().front());
    Peer second = connect_peer(server->addresses().front());
    EXPECT_TRUE(pump(loop, [&] { return alive == 2; }));
  }
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(kept) << "one that was moved away lives on";
  kept = {};
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.end; }));
  EXPECT_TRUE(run_to_end(loop));
}

TEST_P(Serving, TheStreamOutlivesACoroutineThatRefersToIt) {
  struct Farewell {
    ~Farewell() { stream.transport().write("bye"); }
    Stream& stream;
  };
  Loop loop(options());
  const auto handler = [](Stream& stream) -> Task<> {
    const Farewell farewell{stream};
    (void)co_await stream.read_some();
  };
  auto server = get(serve(loop, Address::loopback(0), handler));
  Peer peer = connect_peer(server->addresses().front());
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 1; }));
  server.reset();
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.end; }));
  EXPECT_EQ(peer.got, "bye");
}

TEST_P(Serving, ACoroutineMayOwnItsServer) {
  struct App {
    std::unique_ptr<Server> server;
  };
  Loop loop(options());
  auto app = std::make_shared<App>();
  const std::weak_ptr<App> watched = app;
  const auto talk = [](std::shared_ptr<App>, Stream stream) -> Task<> {
    (void)co_await stream.read_some();
  };
  const auto handler = [&talk, watched](Stream stream) -> Task<> {
    return talk(watched.lock(), std::move(stream));
  };
  app->server = get(serve(loop, Address::loopback(0), handler));
  Peer peer = connect_peer(app->server->addresses().front());
  EXPECT_TRUE(pump(loop, [&] { return app->server->connections() == 1; }));
  app.reset();
  EXPECT_FALSE(watched.expired());
  peer.fd.reset();
  EXPECT_TRUE(pump(loop, [&] { return watched.expired(); }));
}

TEST_P(Serving, AConnectionThatIsGivenAwayCountsNoMore) {
  Loop loop(options());
  std::vector<Socket> given;
  const auto by_the_stream = [&](Stream stream) -> Task<> {
    given.push_back(stream.detach().value());
    co_return;
  };
  const auto by_its_transport = [&](Stream stream) -> Task<> {
    given.push_back(stream.transport().detach().value());
    co_return;
  };
  const auto one = get(serve(loop, Address::loopback(0), by_the_stream));
  const auto two = get(serve(loop, Address::loopback(0), by_its_transport));
  for (Server* server : {one.get(), two.get()}) {
    Peer peer = connect_peer(server->addresses().front());
    EXPECT_TRUE(pump(loop, [&] { return server->accepted() == 1; }));
    EXPECT_TRUE(pump(loop, [&] { return server->connections() == 0; }));
    write_text(given.back().fd(), "hi");
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "hi"; }));
  }
}

TEST_P(Serving, MayOutliveTheLoop) {
  int alive = 0;
  std::unique_ptr<Server> server;
  Peer peer;
  {
    Loop loop(options());
    const auto handler = [&](Stream stream) -> Task<> {
      const Alive here(alive);
      (void)co_await stream.read_some();
    };
    server = get(serve(loop, Address::loopback(0), handler));
    peer = connect_peer(server->addresses().front());
    EXPECT_TRUE(pump(loop, [&] { return alive == 1; }));
  }
  EXPECT_EQ(alive, 0);
}

TEST_P(Serving, AListenerGivesOneConnectionAtATime) {
  Loop loop(options());
  const auto listener = get(Listener::listen(loop, Address::loopback(0)));
  Peer first = connect_peer(listener->address());
  Peer second = connect_peer(listener->address());
  const auto body = [&]() -> Task<> {
    Stream one = (co_await listener->accept()).value();
    (co_await one.write("1")).value();
    const Result<Stream> late =
        co_await with_timeout(0ms, [](Listener& from) -> Task<Result<Stream>> {
          co_await sleep_for(1h);
          co_return co_await from.accept();
        }(*listener));
    EXPECT_FALSE(late);
    Stream two = (co_await listener->accept()).value();
    (co_await two.write("2")).value();
    const Result<Stream> none = co_await with_timeout(2ms, listener->accept());
    EXPECT_FALSE(none);
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return first.read(), second.read(), first.end && second.end; }));
  EXPECT_TRUE(spawned.done());
  EXPECT_EQ(first.got.size() + second.got.size(), 2u);
}

TEST_P(Serving, AListenerThatGoesTellsWhoWaits) {
  Loop loop(options());
  auto listener = get(Listener::listen(loop, Address::loopback(0)));
  std::error_code error;
  const auto body = [&]() -> Task<> { error = (co_await listener->accept()).error(); };
  const Spawned spawned = spawn(loop, body());
  ASSERT_TRUE(loop.poll().has_value());
  listener.reset();
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(error, std::errc::operation_canceled);
}

TEST_P(Serving, AListenerThatFailsTellsWhoWaitsAndWhoComesLater) {
  Loop loop(options());
  Socket socket = get(Socket::listen(Address::loopback(0), ListenOptions{}));
  const int fd = socket.fd();
  const auto listener = get(Listener::adopt(loop, std::move(socket)));
  std::error_code error;
  const auto body = [&]() -> Task<> { error = (co_await listener->accept()).error(); };
  const Spawned waits = spawn(loop, body());
  ASSERT_TRUE(loop.poll());
  ASSERT_EQ(::shutdown(fd, SHUT_RDWR), 0);
  EXPECT_TRUE(pump(loop, [&] { return waits.done(); }));
  EXPECT_EQ(error, std::errc::invalid_argument);
  error = {};
  const Spawned later = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return later.done(); }));
  EXPECT_EQ(error, std::errc::invalid_argument);
}

// In when_all(), the awaiter of a finished await lives until all of them are finished.
TEST_P(Serving, AListenerMayGoBeforeAnAwaitThatIsOver) {
  Loop loop(options());
  auto listener = get(Listener::listen(loop, Address::loopback(0)));
  const Peer peer = connect_peer(listener->address());
  const auto close_later = [&]() -> Task<> {
    co_await sleep_for(2ms);
    listener.reset();
  };
  bool accepted = false;
  const auto body = [&]() -> Task<> {
    auto [connection, nothing] = co_await when_all(listener->accept(), close_later());
    accepted = connection.has_value();
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
  EXPECT_TRUE(accepted);
}

INSTANTIATE_TEST_SUITE_P(Backends, Serving, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
