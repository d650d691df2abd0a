// SPDX-License-Identifier: MIT
// Any closure may own anything that lives with a loop, and may be destroyed before, at, or after
// the loop's end (G12). The tests try each kind of thing with each kind of closure.
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "reactor/http/server.h"
#include "reactor/net/connector.h"
#include "reactor/net/datagram/datagram.h"
#include "reactor/net/server.h"
#include "reactor/process/child_process.h"
#include "reactor/process/pipe.h"
#include "tests/coro/coro_test.h"
#include "tests/support/fork.h"
#include "tests/support/log_capture.h"

namespace reactor::coro {
namespace {

using Owned = std::shared_ptr<void>;

template <class T>
Owned own(T thing) {
  return std::make_shared<T>(std::move(thing));
}

// ---- The owned things ----

const StreamOptions kStreamOptions;

class Silent final : public StreamHandler {
 public:
  void on_data(reactor::Stream&, std::span<std::byte>) override {}
};
Silent g_handler;

class Deaf final : public DatagramHandler {
 public:
  void on_datagram(reactor::Datagram&, const Message&) override {}
};
Deaf g_datagram_handler;

class Refusing final : public AcceptHandler {
 public:
  void on_accept(reactor::Listener&, Socket) override {}
};
Refusing g_accept_handler;

struct Pair {  // a Stream with its peer
  explicit Pair(Loop& loop) {
    FdPair pair = make_socket_pair();
    peer = std::move(pair.far);
    stream = std::make_unique<reactor::Stream>(loop, Socket(std::move(pair.near)), g_handler,
                                               kStreamOptions);
  }
  UniqueFd peer;
  std::unique_ptr<reactor::Stream> stream;
};

Owned make_stream(Loop& loop) {
  Pair pair(loop);
  pair.stream->start();
  return own(std::move(pair));
}
Owned make_new_stream(Loop& loop) { return own(Pair(loop)); }
Owned make_announced_stream(Loop& loop) {
  Pair pair(loop);
  pair.stream->announce(Address::loopback(1), Address::loopback(2));
  return own(std::move(pair));
}
Owned make_closing_stream(Loop& loop) {
  Pair pair(loop);
  pair.stream->start();
  pair.stream->write(std::string(1 << 20, 'x'));
  pair.stream->close(true);
  return own(std::move(pair));
}
Owned make_failed_stream(Loop& loop) {
  Pair pair(loop);
  pair.stream->fail(std::make_error_code(std::errc::io_error));
  return own(std::move(pair));
}
Owned make_limited_stream(Loop& loop) {
  Pair pair(loop);
  pair.stream->start();
  pair.stream->set_read_timeout(1h);
  pair.stream->set_write_rate(1);
  pair.stream->write("xx");
  return own(std::move(pair));
}
// The Stream lingers, and its owner has no part of it any more.
Owned make_lingering_stream(Loop& loop) {
  Pair pair(loop);
  pair.stream->start();
  pair.stream->close(true);
  EXPECT_TRUE(loop.poll());
  return own(std::move(pair));
}

Owned make_timer(Loop& loop) {
  return own(loop.every(1h, [] {}));
}
Owned make_stopped_timer(Loop& loop) {
  Timer timer = loop.after(1h, [] {});
  timer.stop();  // the stopped timer is still in the wheel
  return own(std::move(timer));
}
Owned make_deferred(Loop& loop) {
  Deferred deferred = loop.deferred([] {});
  deferred.schedule();
  return own(std::move(deferred));
}
Owned make_signal(Loop& loop) {
  return own(get(loop.on_signal(SIGUSR1, [] {})));
}
Owned make_watcher(Loop& loop) {
  struct Both {
    FdPair pipe = make_pipe();
    IoWatcher watcher;
  } both;
  write_text(both.pipe.far.get(), "!");
  both.watcher = get(loop.watch(both.pipe.near.get(), Interest::read, [](Ready) {}));
  return own(std::move(both));
}

Owned make_listener(Loop& loop) {
  return get(reactor::Listener::listen(loop, Address::loopback(0), g_accept_handler));
}
Owned make_datagram(Loop& loop) {
  auto socket = get(reactor::Datagram::bind(loop, Address::loopback(0), g_datagram_handler));
  socket->send_to("collected", socket->address());
  return socket;
}
Owned make_connector(Loop& loop) {
  const Address nobody = Address::parse("192.0.2.1:9").value();
  return get(Connector::connect(loop, nobody, {}, [](Result<Socket>) {}));
}
Owned make_pipe_stream(Loop& loop) {
  struct Both {
    FdPair pipe = make_pipe();
    std::unique_ptr<reactor::Stream> stream;
  } both;
  both.stream = get(open_pipe(loop, std::move(both.pipe.near), g_handler, kStreamOptions));
  both.stream->start();
  return own(std::move(both));
}

template <class S>
struct Served {  // a server with a client
  std::unique_ptr<S> server;
  UniqueFd client;
};

template <class S>
Served<S> with_client(Loop& loop, std::unique_ptr<S> server) {
  Served<S> served{std::move(server), {}};
  served.client = get(Socket::connect(served.server->addresses().at(0))).release();
  EXPECT_TRUE(pump(loop, [&] { return served.server->connections() == 1; }));
  return served;
}

Owned make_server(Loop& loop) {
  return own(with_client(loop, get(reactor::Server<Silent>::listen(loop, Address::loopback(0)))));
}
// The connection still waits for its PROXY header.
Owned make_proxied_server(Loop& loop) {
  ServerLimits limits;
  limits.proxy.protocol = ProxyProtocol::v1;
  limits.proxy.allow_from = {get(Network::parse("127.0.0.0/8")), get(Network::parse("::1/128"))};
  return own(with_client(
      loop, get(reactor::Server<Silent>::listen(loop, Address::loopback(0), std::move(limits)))));
}
Owned make_coro_server(Loop& loop) {
  const auto reads = [](Stream stream) -> Task<> {
    std::array<std::byte, 16> buffer;
    static_cast<void>(co_await stream.read(buffer));
  };
  return own(with_client(loop, get(serve(loop, Address::loopback(0), reads))));
}

// The request has no answer yet. The Responder is destroyed before or after its server.
template <bool kServerFirst>
Owned make_http_server(Loop& loop) {
  struct Waiting {
    std::unique_ptr<http::Server> server;
    UniqueFd client;
    std::shared_ptr<http::Responder> responder;
    ~Waiting() { kServerFirst ? server.reset() : void(*responder = {}); }
  };
  auto waiting = std::make_shared<Waiting>();
  waiting->responder = std::make_shared<http::Responder>();
  const auto defer = [responder = waiting->responder](const http::Request&,
                                                      http::Response& response) {
    *responder = response.defer();
  };
  waiting->server = get(http::Server::listen(loop, Address::loopback(0), defer));
  waiting->client = get(Socket::connect(waiting->server->addresses().at(0))).release();
  write_text(waiting->client.get(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(pump(loop, [&] { return static_cast<bool>(*waiting->responder); }));
  // The Responder's callback owns the Responder. Only the end of the Responder or of the server
  // breaks this circle.
  waiting->responder->on_close([responder = waiting->responder] {});
  return waiting;
}

Owned make_coro_stream(Loop& loop) {
  auto line = std::make_shared<Line>(loop);
  return line;
}
Task<> sleep_for_long() { co_await sleep_for(1h); }
Owned make_task(Loop&) { return own(sleep_for_long()); }
Owned make_spawned(Loop& loop) {
  Spawned spawned = spawn(loop, sleep_for_long());
  EXPECT_TRUE(loop.poll());
  return own(std::move(spawned));
}
Owned make_group(Loop& loop) {
  auto group = std::make_shared<TaskGroup>(loop);
  group->spawn(sleep_for_long());
  EXPECT_TRUE(loop.poll());
  group->spawn(sleep_for_long());  // this task has not begun
  return group;
}
// A task reads from a Stream that has another owner, and is woken when the Stream is destroyed.
Owned make_readers(Loop& loop) {
  struct Both {
    explicit Both(Loop& its_loop) : line(its_loop), group(its_loop) {}
    Line line;
    TaskGroup group;
  };
  auto both = std::make_shared<Both>(loop);
  const auto read = [](Stream& stream) -> Task<> {
    std::array<std::byte, 16> buffer;
    static_cast<void>(co_await stream.read(buffer));
  };
  both->group.spawn(read(both->line.stream));
  EXPECT_TRUE(loop.poll());
  return both;
}

struct Thing {
  const char* name;
  Owned (*make)(Loop& loop);
};
constexpr std::array kThings = {
    Thing{"stream", &make_stream},
    Thing{"stream that was not started", &make_new_stream},
    Thing{"announced stream", &make_announced_stream},
    Thing{"closing stream", &make_closing_stream},
    Thing{"failed stream", &make_failed_stream},
    Thing{"stream with limits", &make_limited_stream},
    Thing{"lingering stream", &make_lingering_stream},
    Thing{"timer", &make_timer},
    Thing{"stopped timer", &make_stopped_timer},
    Thing{"deferred", &make_deferred},
    Thing{"signal", &make_signal},
    Thing{"watcher", &make_watcher},
    Thing{"listener", &make_listener},
    Thing{"datagram", &make_datagram},
    Thing{"connector", &make_connector},
    Thing{"pipe", &make_pipe_stream},
    Thing{"server", &make_server},
    Thing{"server behind a proxy", &make_proxied_server},
    Thing{"server of coroutines", &make_coro_server},
    Thing{"http server", &make_http_server<false>},
    Thing{"http server before its responder", &make_http_server<true>},
    Thing{"stream of coroutines", &make_coro_stream},
    Thing{"task", &make_task},
    Thing{"spawned task", &make_spawned},
    Thing{"task group", &make_group},
    Thing{"reading task", &make_readers},
};

// ---- Their owners ----

enum class Closure { posted, timer, io, signal, deferred, on_slow, coroutine, new_coroutine };
constexpr std::array kClosures = {Closure::posted,    Closure::timer,        Closure::io,
                                  Closure::signal,    Closure::deferred,     Closure::on_slow,
                                  Closure::coroutine, Closure::new_coroutine};

Task<> keep_for_long(Owned owned) {
  co_await sleep_for(1h);
  owned.reset();
}

// Keeper has a loop, and closures that own things.
class Keeper {
 public:
  explicit Keeper(LoopOptions options) {
    options.on_slow = [slot = slow_](const HandleInfo&, Duration) {};
    loop_ = std::make_unique<Loop>(std::move(options));
  }

  Loop& loop() { return *loop_; }

  // Gives `owned` to a new closure. Returns the closure's handle, or an empty one if the closure
  // has none.
  Owned keep(Closure closure, Owned owned) {
    switch (closure) {
      case Closure::posted:
        loop_->post([owned = std::move(owned)] {});
        return {};
      case Closure::timer:
        return own(loop_->after(1h, [owned = std::move(owned)] {}));
      case Closure::io:
        return own(get(
            loop_->watch(pipe_.near.get(), Interest::read, [owned = std::move(owned)](Ready) {})));
      case Closure::signal:
        return own(get(loop_->on_signal(SIGUSR2, [owned = std::move(owned)] {})));
      case Closure::deferred:
        return own(loop_->deferred([owned = std::move(owned)] {}));
      case Closure::on_slow:
        *slow_ = std::move(owned);
        return {};
      case Closure::coroutine: {
        auto handle = own(spawn(*loop_, keep_for_long(std::move(owned))));
        EXPECT_TRUE(loop_->poll());
        return handle;
      }
      case Closure::new_coroutine:
        return own(spawn(*loop_, keep_for_long(std::move(owned))));
    }
    return {};
  }

  void end_loop() {
    slow_.reset();
    loop_.reset();
  }

 private:
  FdPair pipe_ = make_pipe();
  std::shared_ptr<Owned> slow_ = std::make_shared<Owned>();
  std::unique_ptr<Loop> loop_;
};

class Ownership : public CoroTest {
 protected:
  template <class Try>
  static void with_each(Try&& attempt) {
    for (const Thing& thing : kThings) {
      for (const Closure closure : kClosures) {
        SCOPED_TRACE(std::string(thing.name) + " owned by closure " +
                     std::to_string(static_cast<int>(closure)));
        attempt(thing, closure);
      }
    }
  }

 private:
  LogCapture log_;  // each dropped Responder logs a line
};

TEST_P(Ownership, BeforeTheLoopsEnd) {
  with_each([](const Thing& thing, Closure closure) {
    Keeper keeper(options());
    Owned owned = thing.make(keeper.loop());
    const std::weak_ptr<void> seen = owned;
    Owned handle = keeper.keep(closure, std::move(owned));
    const bool has_handle = handle != nullptr;
    handle.reset();
    EXPECT_EQ(seen.expired(), has_handle);
    EXPECT_TRUE(keeper.loop().poll());
  });
}

TEST_P(Ownership, AtTheLoopsEnd) {
  with_each([](const Thing& thing, Closure closure) {
    Keeper keeper(options());
    Owned owned = thing.make(keeper.loop());
    const std::weak_ptr<void> seen = owned;
    const Owned handle = keeper.keep(closure, std::move(owned));
    keeper.end_loop();
    EXPECT_TRUE(seen.expired()) << "no matter who has the handle";
  });
}

TEST_P(Ownership, AfterTheLoopsEnd) {
  with_each([](const Thing& thing, Closure closure) {
    Keeper keeper(options());
    Owned owned = thing.make(keeper.loop());
    Owned handle = keeper.keep(closure, owned);
    keeper.end_loop();
    EXPECT_EQ(owned.use_count(), 1);
    owned.reset();
    handle.reset();
  });
}

// A closure owns the handle of another closure, which owns the thing.
TEST_P(Ownership, InAChain) {
  for (const Closure outer : kClosures) {
    for (const Closure inner : kClosures) {
      if (outer == inner) continue;  // a loop can have only one of some kinds
      for (const auto make : {&make_stream, &make_coro_server, &make_group}) {
        SCOPED_TRACE(std::to_string(static_cast<int>(outer)) + " owns " +
                     std::to_string(static_cast<int>(inner)));
        Keeper keeper(options());
        Owned owned = make(keeper.loop());
        const std::weak_ptr<void> seen = owned;
        Owned handle = keeper.keep(inner, std::move(owned));
        const Owned last = keeper.keep(outer, std::move(handle));
        keeper.end_loop();
        EXPECT_TRUE(seen.expired());
      }
    }
  }
}

// Its destructor asks the loop for one of everything. A loop that is ending accepts nothing.
class Restless {
 public:
  Restless(Loop& loop, bool& done) : loop_(loop), done_(done) {}
  Restless(const Restless&) = delete;
  Restless& operator=(const Restless&) = delete;
  ~Restless() {
    const auto never = [] { FAIL(); };
    loop_.post(never);
    Timer timer = loop_.after(0ms, never);
    EXPECT_FALSE(timer.active());
    timer.start(0ms);
    loop_.deferred(never).schedule();
    const FdPair pipe = make_pipe();
    EXPECT_EQ(loop_.watch(pipe.near.get(), Interest::read, [](Ready) {}).error(),
              Errc::handle_dead);
    EXPECT_EQ(loop_.on_signal(SIGUSR1, never).error(), Errc::handle_dead);
    EXPECT_EQ(reactor::Listener::listen(loop_, Address::loopback(0), g_accept_handler).error(),
              Errc::handle_dead);
    Pair pair(loop_);
    pair.stream->start();
    Line line(loop_);
    TaskGroup group(loop_);
    group.spawn(fail());
    Spawned spawned = spawn(loop_, fail());
    EXPECT_EQ(loop_.poll().error(), Errc::nested_run);
    done_ = true;
  }

 private:
  static Task<> fail() {
    ADD_FAILURE();
    co_return;
  }

  Loop& loop_;
  bool& done_;
};

TEST_P(Ownership, ALoopThatEndsTakesNothingNew) {
  for (const Closure closure : kClosures) {
    SCOPED_TRACE(static_cast<int>(closure));
    bool done = false;
    Keeper keeper(options());
    const Owned handle = keeper.keep(closure, std::make_shared<Restless>(keeper.loop(), done));
    keeper.end_loop();
    EXPECT_TRUE(done);
  }
}

class OwnershipChild : public Ownership {};

TEST_P(OwnershipChild, OfAProcess) {
  ProcessOptions what;
  what.arguments = {"sleep", "100"};
  what.output = Redirect::pipe(g_handler);
  const auto nothing = [](Process&, ExitStatus) {};
  for (const Closure closure : kClosures) {
    for (const bool after : {false, true}) {
      SCOPED_TRACE(static_cast<int>(closure));
      Keeper keeper(options());
      std::shared_ptr<Process> process = get(Process::spawn(keeper.loop(), what, nothing));
      EXPECT_TRUE(keeper.loop().poll());
      const pid_t pid = process->pid();
      const Owned handle = keeper.keep(closure, process);
      if (!after) process.reset();
      keeper.end_loop();
      process.reset();
      EXPECT_EQ(::kill(pid, 0), -1) << "it was killed, and waited for";
    }
  }
}

TEST_P(OwnershipChild, ByAChildWatcher) {
  for (const Thing& thing : kThings) {
    SCOPED_TRACE(thing.name);
    const pid_t pid = spawn_sleeper();
    Keeper keeper(options());
    Owned owned = thing.make(keeper.loop());
    const std::weak_ptr<void> seen = owned;
    const ChildWatcher watcher =
        get(keeper.loop().on_exit(pid, [owned = std::move(owned)](ExitStatus) {}));
    keeper.end_loop();
    EXPECT_TRUE(seen.expired());
    ::kill(pid, SIGKILL);
    wait_for_child(pid);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Ownership, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, OwnershipChild, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
