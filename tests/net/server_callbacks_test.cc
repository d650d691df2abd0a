// SPDX-License-Identifier: MIT
// The callbacks of a Server and the handlers of its connections are user code. These tests do to
// the server all that such code may do (G2, G6, G11).
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/net/internal/proxy_header.h"
#include "reactor/net/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

enum class ServerCall { open, data, end, timeout, shutdown, migrate, adopt, close };
constexpr std::array kServerCalls = {ServerCall::open,    ServerCall::data,     ServerCall::end,
                                     ServerCall::timeout, ServerCall::shutdown, ServerCall::migrate,
                                     ServerCall::adopt,   ServerCall::close};

// The action that every connection of a test runs in its callbacks.
struct ActorScript {
  Callback<void(ServerCall, Stream&)> act;
};

class ConnectionActor final : public StreamHandler {
 public:
  using Context = ActorScript;
  explicit ConnectionActor(ActorScript& script) : script_(script) {}
  void on_open(Stream& stream) override { act(ServerCall::open, stream); }
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    stream.write(bytes);
    act(ServerCall::data, stream);
  }
  void on_end(Stream& stream) override {
    stream.close();
    act(ServerCall::end, stream);
  }
  void on_timeout(Stream& stream) override {
    stream.close();
    act(ServerCall::timeout, stream);
  }
  void on_shutdown(Stream& stream) override {
    stream.close();
    act(ServerCall::shutdown, stream);
  }
  HandOver on_hand_over(Stream& stream, std::vector<std::byte>&) override {
    act(ServerCall::migrate, stream);
    return HandOver::no;
  }
  void on_adopt(Stream& stream, std::span<const std::byte>) override {
    act(ServerCall::adopt, stream);
  }
  void on_close(Stream& stream, std::error_code) noexcept override {
    act(ServerCall::close, stream);
  }

 private:
  // Runs the test's action, which may destroy this handler.
  void act(ServerCall call, Stream& stream) {
    if (script_.act) script_.act(call, stream);
  }
  ActorScript& script_;
};

class ServerCallbacks : public LoopTest {
 protected:
  void listen(ServerLimits limits = {}) {
    server =
        get(Server<ConnectionActor>::listen(loop, Address::loopback(0), std::move(limits), script));
    address = server->addresses().at(0);
  }
  void TearDown() override { server.reset(); }

  Peer connect() const { return connect_peer(address); }

  // Runs the loop until `done()`, and counts the exceptions.
  template <class Done>
  bool until(Done done) {
    const Patience patience(kLimit);
    while (!done() && !patience.over()) {
      attempt([&] { loop.run_once(milliseconds(1)).value(); });
    }
    return done();
  }
  template <class Step>
  void attempt(Step step) {
    try {
      step();
    } catch (const Raised&) {
      ++thrown;
    }
  }

  Loop loop{options()};
  ActorScript script;
  Address address;
  Nobody nobody;
  std::unique_ptr<Server<ConnectionActor>> server;
  int thrown = 0;
};

// ---- The server's callbacks ----

TEST_P(ServerCallbacks, TheOneThatDrainCallsMayDestroyTheServer) {
  listen();
  std::string said;
  server->drain([this, &said, own = std::string(100, 'o')] {
    server.reset();
    said = own;
  });
  EXPECT_TRUE(until([&] { return !said.empty(); }));
  EXPECT_EQ(said, std::string(100, 'o')) << "it outlives its call";
}

TEST_P(ServerCallbacks, TheOneThatDrainCallsMayBeFollowedByAnother) {
  listen();
  std::string said;
  server->drain([this, &said, own = std::string("first")] {
    server->drain([&said] { said += " second"; });
    said += own;
  });
  EXPECT_TRUE(until([&] { return said == "first second"; }));
  EXPECT_LE(run_for(loop, milliseconds(5)), 2) << "each once";
  EXPECT_EQ(said, "first second");
}

TEST_P(ServerCallbacks, TheLimitsMaySetTheNextLimit) {
  listen();
  std::string said;
  server->set_limit(2, [this, &said, own = std::string("two")] {
    server->set_limit(1, [&said] { said += " three"; });
    said += own;
  });
  std::vector<Peer> peers;
  for (int i = 0; i < 2; ++i) peers.push_back(connect());
  EXPECT_TRUE(until([&] { return said == "two"; }));
  EXPECT_EQ(server->accepted(), 2U);
  for (int i = 0; i < 2; ++i) peers.push_back(connect());
  EXPECT_TRUE(until([&] { return server->accepted() == 4; }));
  EXPECT_TRUE(until([&] { return said == "two three"; }));
}

TEST_P(ServerCallbacks, AnExceptionOfTheLimitCostsNoConnection) {
  listen();
  server->set_limit(1, [] { throw Raised(); });
  Peer peer = connect();
  peer.write("x");
  EXPECT_TRUE(until([&] { return peer.read(), peer.got == "x" && thrown > 0; }));
  EXPECT_EQ(thrown, 1);
}

TEST_P(ServerCallbacks, RoomIsSaidBeforeAListenerTakesIt) {
  ServerLimits one;
  one.max_connections = 1;
  listen(std::move(one));
  std::vector<std::uint64_t> accepted;
  server->set_on_room([&] { accepted.push_back(server->accepted()); });
  Peer first = connect();
  Peer second = connect();
  EXPECT_TRUE(until([&] { return server->accepted() == 1; }));
  EXPECT_TRUE(accepted.empty());
  first.fd.reset();
  EXPECT_TRUE(until([&] { return server->accepted() == 2; }));
  EXPECT_EQ(accepted, std::vector<std::uint64_t>{1});
}

TEST_P(ServerCallbacks, PlacementMayReplaceItself) {
  listen();
  std::string said;
  server->set_placement([this, &said, own = std::string(100, 'p')](const Socket&) {
    server->set_placement({});
    said = own;
    return false;
  });
  Peer first = connect();
  EXPECT_TRUE(until([&] { return first.read(), first.over(); })) << "it goes on elsewhere";
  EXPECT_EQ(said, std::string(100, 'p'));
  Peer second = connect();
  second.write("x");
  EXPECT_TRUE(until([&] { return second.read(), second.got == "x"; })) << "nobody is asked";
}

TEST_P(ServerCallbacks, PlacementIsAskedAgainAfterItsException) {
  listen();
  int asked = 0;
  server->set_placement([&asked](const Socket&) -> bool {
    if (++asked == 1) throw Raised();
    return true;
  });
  Peer first = connect();
  EXPECT_TRUE(until([&] { return first.read(), first.over(); }));
  Peer second = connect();
  second.write("x");
  EXPECT_TRUE(until([&] { return second.read(), second.got == "x"; }));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(thrown, 1);
}

TEST_P(ServerCallbacks, PlacementMayDestroyTheServer) {
  listen();
  std::string said;
  server->set_placement([this, &said, own = std::string(100, 'p')](const Socket&) {
    server.reset();
    said = own;
    return true;
  });
  Peer peer = connect();
  EXPECT_TRUE(until([&] { return peer.read(), peer.over(); }));
  EXPECT_EQ(said, std::string(100, 'p'));
}

// ---- The handlers of its connections ----

TEST_P(ServerCallbacks, EachMayDestroyTheServer) {
  for (const ServerCall at : kServerCalls) {
    SCOPED_TRACE(static_cast<int>(at));
    ServerLimits limits;
    if (at == ServerCall::timeout) limits.stream.idle_timeout = milliseconds(1);
    listen(std::move(limits));
    bool met = false;
    script.act = [&, at](ServerCall call, Stream&) {
      if (call != at) return;
      met = true;
      server.reset();
    };
    std::array<Peer, 3> peers = {connect(), connect(), connect()};
    ASSERT_TRUE(until([&] { return server == nullptr || server->connections() == 3; }));
    if (at == ServerCall::data) peers[0].write("x");
    if (at == ServerCall::end || at == ServerCall::close) peers[1].fd.reset();
    if (at == ServerCall::shutdown) server->drain();
    if (at == ServerCall::migrate) server->hand_over(nobody, [] {});
    if (at == ServerCall::adopt) {
      std::vector<std::byte> state = proxy_header(nullptr);
      state.push_back(std::byte{0});  // 0: the server's own handler had the connection
      EXPECT_TRUE(server->adopt_connection(Socket(make_socket_pair().near), state));
    }
    EXPECT_TRUE(until([&] { return met; }));
    EXPECT_EQ(server, nullptr);
    EXPECT_TRUE(until([&] { return peers[0].read(), peers[0].over(); }));
    script.act = {};
  }
}

struct DestructiveFactory final : TransportFactory {
  std::unique_ptr<Transport> make_transport() override {
    act();
    return nullptr;
  }
  Callback<void()> act;
};

TEST_P(ServerCallbacks, TheFactoryOfTransportsMayDestroyTheServer) {
  DestructiveFactory factory;
  ServerLimits limits;
  limits.transports = &factory;
  for (const bool throws : {false, true}) {
    listen(limits);
    factory.act = [&, throws] {
      server.reset();
      if (throws) throw Raised();
    };
    Peer peer = connect();
    EXPECT_TRUE(until([&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(server, nullptr);
    EXPECT_EQ(thrown, throws ? 1 : 0);
  }
}

// A handler type that chooses another handler for each connection that comes from another process.
class Adopter final : public StreamHandler {
 public:
  struct Context {
    Callback<StreamHandler*()> adopt;
  };
  explicit Adopter(Context& context) noexcept : context_(context) {}
  void on_data(Stream&, std::span<std::byte>) override {}
  [[nodiscard]] StreamHandler* adopting_handler() { return context_.adopt(); }

 private:
  Context& context_;
};

TEST_P(ServerCallbacks, TheChoiceOfAHandlerMayDestroyTheServer) {
  ConnectionActor other(script);
  std::vector<std::byte> state = proxy_header(nullptr);
  state.push_back(std::byte{1});  // 1: another handler than the server's had the connection
  for (StreamHandler* const chosen :
       {static_cast<StreamHandler*>(nullptr), static_cast<StreamHandler*>(&other)}) {
    Adopter::Context context;
    auto adopting = get(Server<Adopter>::listen(loop, Address::loopback(0), {}, context));
    context.adopt = [&] {
      adopting.reset();
      return chosen;
    };
    FdPair ends = make_socket_pair();
    Peer peer;
    peer.fd = std::move(ends.far);
    EXPECT_TRUE(adopting->adopt_connection(Socket(std::move(ends.near)), state));
    EXPECT_EQ(adopting, nullptr);
    EXPECT_TRUE(until([&] { return peer.read(), peer.over(); }));
  }
}

TEST_P(ServerCallbacks, AnExceptionAmidADrainAsksTheOthersToo) {
  listen();
  constexpr int kMany = 5;
  int asked = 0;
  script.act = [&](ServerCall call, Stream&) {
    if (call != ServerCall::shutdown) return;
    ++asked;
    throw Raised();
  };
  std::vector<Peer> peers;
  for (int i = 0; i < kMany; ++i) peers.push_back(connect());
  ASSERT_TRUE(until([&] { return server->connections() == kMany; }));
  bool drained = false;
  attempt([&] { server->drain([&] { drained = true; }); });
  EXPECT_TRUE(until([&] { return drained; }));
  EXPECT_EQ(asked, kMany);
  EXPECT_EQ(thrown, kMany) << "each of them leaves";
}

// The server can't read the other Streams inside the callback that calls drain(). It reads them in
// the next turn, before it asks them to end. Otherwise it would lose their input, and never answer
// it.
TEST_P(ServerCallbacks, ADrainInACallbackReadsWhatTheOthersWereSent) {
  listen();
  bool drained = false;
  script.act = [&](ServerCall call, Stream&) {
    if (call != ServerCall::data || drained) return;
    drained = true;
    server->drain();
  };
  std::array<Peer, 2> peers = {connect(), connect()};
  ASSERT_TRUE(until([&] { return server->connections() == 2; }));
  for (Peer& peer : peers) peer.write("x");
  for (Peer& peer : peers) {
    EXPECT_TRUE(until([&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(peer.got, "x");
    EXPECT_EQ(peer.error, 0) << "no reset";
  }
}

TEST_P(ServerCallbacks, AnExceptionAmidAHandOverAsksTheOthersToo) {
  listen();
  int asked = 0;
  script.act = [&](ServerCall call, Stream&) {
    if (call == ServerCall::migrate && ++asked == 1) throw Raised();
  };
  std::array<Peer, 3> peers = {connect(), connect(), connect()};
  ASSERT_TRUE(until([&] { return server->connections() == 3; }));
  bool done = false;
  server->hand_over(nobody, [&] { done = true; });
  EXPECT_TRUE(until([&] { return done; }));
  EXPECT_EQ(thrown, 1);
}

TEST_P(ServerCallbacks, AnExceptionAsTheDoorsCloseCutsNobodyOff) {
  listen();
  std::vector<Peer> peers;
  for (int i = 0; i < 5; ++i) peers.push_back(connect());
  int opened = 0;
  script.act = [&](ServerCall call, Stream& stream) {
    if (call != ServerCall::open) return;
    ++opened;
    stream.write("hello");
    throw Raised();
  };
  bool drained = false;
  server->drain([&] { drained = true; });
  EXPECT_TRUE(until([&] { return drained; }));
  EXPECT_EQ(opened, 5);
  EXPECT_EQ(thrown, 5);
  for (Peer& peer : peers) {
    EXPECT_TRUE(until([&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(peer.got, "hello");
  }
}

TEST_P(ServerCallbacks, AnExceptionAsAStreamOpensDoesNotLoseTheRequestToEnd) {
  std::vector<ServerCall> calls;
  script.act = [&](ServerCall call, Stream&) {
    calls.push_back(call);
    if (call == ServerCall::open) throw Raised();
  };
  ConnectionActor handler(script);
  const StreamOptions options;
  const FdPair pair = make_socket_pair();
  Stream stream(loop, Socket(UniqueFd(::dup(pair.near.get()))), handler, options);
  stream.request_shutdown();
  attempt([&] { stream.start(); });
  EXPECT_EQ(thrown, 1);
  EXPECT_TRUE(until([&] { return !calls.empty() && calls.back() == ServerCall::close; }));
  EXPECT_EQ(calls, (std::vector{ServerCall::open, ServerCall::shutdown, ServerCall::close}));
}

TEST_P(ServerCallbacks, AnExceptionOfAConnectionThatComesAtTheEndDoesNotKeepItThere) {
  std::vector<std::byte> state = proxy_header(nullptr);
  state.push_back(std::byte{0});  // 0: the server's own handler had the connection
  for (const ServerCall at : {ServerCall::open, ServerCall::adopt}) {
    SCOPED_TRACE(static_cast<int>(at));
    listen();
    bool drained = false;
    server->drain([&] { drained = true; });
    ASSERT_TRUE(until([&] { return drained; }));
    thrown = 0;
    int asked = 0;
    script.act = [&, at](ServerCall call, Stream&) {
      asked += call == ServerCall::shutdown ? 1 : 0;
      if (call == at) throw Raised();
    };
    const FdPair pair = make_socket_pair();
    attempt([&] {
      static_cast<void>(server->adopt_connection(Socket(UniqueFd(::dup(pair.near.get()))),
                                                 at == ServerCall::open
                                                     ? std::span<const std::byte>()
                                                     : std::span<const std::byte>(state)));
    });
    EXPECT_EQ(thrown, 1);
    EXPECT_EQ(server->connections(), 1U);
    EXPECT_TRUE(until([&] { return server->connections() == 0; }));
    EXPECT_EQ(asked, 1);
    script.act = {};
  }
}

TEST_P(ServerCallbacks, AnExceptionOutOfReadBufferLeavesTheConnectionAlive) {
  struct Thrower final : StreamHandler {
    std::span<std::byte> read_buffer(Stream& stream) override {
      if (!std::exchange(thrown, true)) throw Raised();
      return StreamHandler::read_buffer(stream);
    }
    void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
    bool thrown = false;
  };
  const auto echo = get(Server<Thrower>::listen(loop, Address::loopback(0)));
  Peer peer;
  peer.fd = get(Socket::connect(echo->addresses()[0])).release();
  peer.write("hello");
  EXPECT_TRUE(until([&] { return peer.read(), peer.got == "hello"; }));
  EXPECT_EQ(thrown, 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerCallbacks, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
