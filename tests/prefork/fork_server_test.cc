// SPDX-License-Identifier: MIT
// ForkServer gives each connection a process of its own. It runs in a loop of the test, or in
// workers with Plan::model. The children have copies of the test's ends of the connections, so
// close() would not end a connection: the test calls shutdown().
#include "reactor/prefork/fork_server.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <set>
#include <stdexcept>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "reactor/net/server.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "tests/prefork/prefork_test.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;

class ForkServers : public LoopTest {};

// Echoes what it gets, but answers "pid" with its process id, throws at "throw", and at "block"
// first waits for the gate.
class Talker final : public StreamHandler {
 public:
  using Context = FdPair;
  explicit Talker(FdPair& gate) : gate_(gate) {}
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    const std::string_view word(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (word == "pid") return stream.write(std::to_string(::getpid()));
    if (word == "throw") throw std::runtime_error("a bad day");
    if (word == "block") {
      pollfd wait{gate_.near.get(), POLLIN, 0};
      while (::poll(&wait, 1, 10'000) < 0 && errno == EINTR) {
      }
    }
    stream.write(bytes);
  }
  void on_shutdown(Stream& stream) override {
    stream.write("bye");
    stream.close();
  }

 private:
  FdPair& gate_;
};

Peer connect(const ServerBase& server) {
  Peer peer;
  peer.fd = get(Socket::connect(server.addresses().front())).release();
  return peer;
}

void hang_up(const Peer& peer) { ::shutdown(peer.fd.get(), SHUT_RDWR); }

// Sends `word` and returns the answer, which is `word` again unless that is "pid".
std::string ask(Loop& loop, Peer& peer, std::string_view word) {
  peer.got.clear();
  peer.write(word);
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), !peer.got.empty() || peer.over(); }));
  return peer.got;
}

bool ended(Loop& loop, Peer& peer) {
  return pump(loop, [&] { return peer.read(), peer.over(); });
}

bool childless() { return ::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD; }

TEST_P(ForkServers, EachConnectionHasAProcess) {
  Loop loop(options());
  FdPair gate = make_pipe();
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate));
  Peer first = connect(*server), second = connect(*server);
  const std::string pid = ask(loop, first, "pid");
  EXPECT_EQ(ask(loop, first, "pid"), pid) << "and keeps it";
  EXPECT_NE(ask(loop, second, "pid"), pid);
  EXPECT_NE(ask(loop, second, "pid"), std::to_string(::getpid()));
  EXPECT_EQ(server->children(), 2U);
  EXPECT_EQ(server->connections(), 2U);
  EXPECT_EQ(server->accepted(), 2U);
  hang_up(first);
  EXPECT_TRUE(pump(loop, [&] { return server->children() == 1; }));
  EXPECT_EQ(server->connections(), 1U);
  hang_up(second);
  EXPECT_TRUE(pump(loop, [&] { return server->children() == 0; }));
  EXPECT_TRUE(childless()) << "each was waited for in the turn in which it ended";
}

// The handler in the child sees the half-close as on any Stream, and answers everything that was
// sent before it.
TEST_P(ForkServers, AHalfClosedConnectionIsAnswered) {
  Loop loop(options());
  FdPair gate = make_pipe();
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate));
  Peer peer = connect(*server);
  const std::string all = pattern(200'000);
  std::size_t sent = 0;
  EXPECT_TRUE(pump(loop, [&] {
    sent += peer.write(std::string_view(all).substr(sent));
    peer.read();
    return sent == all.size();
  }));
  ::shutdown(peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(ended(loop, peer));
  EXPECT_TRUE(peer.end && peer.got == all);
}

TEST_P(ForkServers, AtTheLimitTheNextOneWaits) {
  Loop loop(options());
  FdPair gate = make_pipe();
  ServerLimits limits;
  limits.max_connections = 2;
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), limits, gate));
  Peer first = connect(*server), second = connect(*server), third = connect(*server);
  EXPECT_NE(ask(loop, first, "pid"), "");
  EXPECT_NE(ask(loop, second, "pid"), "");
  third.write("me too");
  EXPECT_LE(run_for(loop, milliseconds(30)), 5) << "it does not spin either";
  EXPECT_EQ(server->accepted(), 2U) << "it is in the kernel's queue";
  hang_up(first);
  EXPECT_TRUE(pump(loop, [&] { return third.read(), third.got == "me too"; }));
  // A connection from a sibling is never refused, but it waits as well.
  const FdPair pair = make_tcp_pair();
  Peer fourth;
  fourth.fd.reset(::dup(pair.far.get()));
  ASSERT_TRUE(server->adopt_connection(Socket(UniqueFd(::dup(pair.near.get()))), {}));
  EXPECT_EQ(server->connections(), 3U);
  fourth.write("and me");
  run_for(loop, milliseconds(10));
  EXPECT_EQ(server->children(), 2U);
  hang_up(second);
  EXPECT_TRUE(pump(loop, [&] { return fourth.read(), fourth.got == "and me"; }));
}

TEST_P(ForkServers, AHandlerThatBlocksHoldsNobodyUp) {
  Loop loop(options());
  FdPair gate = make_pipe();
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate));
  Peer blocked = connect(*server);
  EXPECT_NE(ask(loop, blocked, "pid"), "");
  blocked.got.clear();
  blocked.write("block");
  for (int i = 0; i < 5; ++i) {  // the first one blocks while all of these get their answers
    Peer other = connect(*server);
    EXPECT_EQ(ask(loop, other, "hello"), "hello");
    hang_up(other);
  }
  blocked.read();
  EXPECT_EQ(blocked.got, "");
  write_text(gate.far.get(), "!");
  EXPECT_TRUE(pump(loop, [&] { return blocked.read(), blocked.got == "block"; }));
}

TEST_P(ForkServers, ADeadChildIsOneConnectionLess) {
  LogCapture log;
  Loop loop(options());
  FdPair gate = make_pipe();
  ServerLimits limits;
  limits.max_connections = 2;
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), limits, gate));
  Peer first = connect(*server), second = connect(*server);
  const std::string pid = ask(loop, first, "pid");
  const std::string other = ask(loop, second, "pid");
  ::kill(std::stoi(pid), SIGKILL);
  EXPECT_TRUE(ended(loop, first));
  EXPECT_TRUE(pump(loop, [&] { return server->children() == 1; }));
  EXPECT_TRUE(log.contains("(pid " + pid + ") was killed by signal 9"));
  EXPECT_EQ(ask(loop, second, "pid"), other);
  Peer third = connect(*server);
  EXPECT_NE(ask(loop, third, "pid"), "");
  EXPECT_EQ(ask(loop, third, "throw"), "") << "an exception ends the one connection too";
  EXPECT_TRUE(pump(loop, [&] { return server->children() == 1; }));
  EXPECT_EQ(ask(loop, second, "pid"), other);
}

// SIGTERM tells the children to drain. The parent's loop has a watcher for SIGTERM, which must not
// be called.
TEST_P(ForkServers, DrainLetsChildrenFinishAndNobodyIn) {
  Loop loop(options());
  int terms = 0;
  SignalWatcher term = get(loop.on_signal(SIGTERM, [&] { ++terms; }));
  term.unref();
  FdPair gate = make_pipe();
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate));
  const Address address = server->addresses().front();
  Peer first = connect(*server), busy = connect(*server);
  EXPECT_NE(ask(loop, first, "pid"), "");
  EXPECT_NE(ask(loop, busy, "pid"), "");
  busy.got.clear();
  busy.write("block");
  bool done = false;
  server->drain([&] { done = true; });
  EXPECT_TRUE(ended(loop, first));
  EXPECT_EQ(first.got.substr(first.got.size() - 3), "bye");
  EXPECT_TRUE(pump(loop, [&] { return server->children() == 1; }));
  EXPECT_FALSE(done);
  EXPECT_TRUE(pump(loop, [&] { return loop.counts().transports == 0; })) << "the doors are closed";
  Peer late;
  late.fd = get(Socket::connect(address)).release();
  EXPECT_TRUE(ended(loop, late));
  EXPECT_EQ(late.error, ECONNREFUSED) << "the child that lives has no copy of the listener";
  write_text(gate.far.get(), "!");
  EXPECT_TRUE(ended(loop, busy));
  EXPECT_EQ(busy.got, "blockbye");
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(done);
  EXPECT_EQ(terms, 0);
}

TEST_P(ForkServers, DestructionKillsTheChildrenAndWaitsForThem) {
  Loop loop(options());
  FdPair gate = make_pipe();
  auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate));
  Peer idle = connect(*server), blocked = connect(*server);
  EXPECT_NE(ask(loop, idle, "pid"), "");
  EXPECT_NE(ask(loop, blocked, "pid"), "");
  blocked.write("block");
  server.reset();
  EXPECT_TRUE(childless());
  EXPECT_TRUE(ended(loop, idle));
  EXPECT_TRUE(ended(loop, blocked));
  EXPECT_TRUE(run_to_end(loop));
}

// A child waits for everything that its connection has started, but not for a timer that was there
// before.
TEST_P(ForkServers, AChildEndsWithWhatItsConnectionStarted) {
  class Afterwards final : public StreamHandler {
   public:
    using Context = FdPair;
    explicit Afterwards(FdPair& pipe) : pipe_(pipe) {}
    void on_data(Stream& stream, std::span<std::byte>) override {
      static Timer later;  // outlives the connection; each process has its own
      later = stream.loop().after(milliseconds(20), [&loop = stream.loop(), &pipe = pipe_] {
        loop.post([&pipe] { write_text(pipe.far.get(), "done"); });
      });
      stream.close();
    }

   private:
    FdPair& pipe_;
  };
  Loop loop(options());
  FdPair pipe = make_pipe();
  auto server =
      get(ForkServer::listen(loop, std::vector{Address::loopback(0)}, {}, [&pipe](Child& child) {
        const Timer always = child.loop().every(milliseconds(1), [] {});
        auto service = get(Server<Afterwards>::adopt(child.loop(), {}, {}, pipe));
        return child.serve(*service);
      }));
  Peer peer = connect(*server);
  peer.write("x");
  EXPECT_TRUE(pump(loop, [&] { return server->accepted() == 1 && server->connections() == 0; }));
  EXPECT_EQ(read_text(pipe.near.get()), "done");
  EXPECT_TRUE(ended(loop, peer));
}

// If the kernel does not kill the child with its parent, the lifeline ends it.
TEST_P(ForkServers, AChildEndsWithItsParent) {
  FdPair lifeline = make_pipe(), pair = make_tcp_pair(), gate = make_pipe();
  SignalBlock blocked;
  Child child(Socket(std::move(pair.near)), {}, std::move(lifeline.near), GetParam(), blocked);
  auto service = get(Server<Talker>::adopt(child.loop(), {}, {}, gate));
  const Timer death = child.loop().after(milliseconds(5), [&] { lifeline.far.reset(); });
  EXPECT_EQ(child.serve(*service), 0);
  EXPECT_EQ(service->connections(), 1U) << "it was not over";
}

#if defined(__linux__)
// A child of one server must not keep the other server's child from ending. The children switch
// PR_SET_PDEATHSIG off, as on a kernel that can't kill them.
TEST_P(ForkServers, ChildrenOfSeveralEndWithTheirParent) {
  FdPair alive = make_pipe();
  EXPECT_EQ(
      in_child([&] {
        alive.near.reset();
        Loop loop(options());
        FdPair gate = make_pipe();
        std::vector<std::unique_ptr<ForkServer>> servers;
        for (int i = 0; i < 2; ++i) {
          servers.push_back(get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate)));
          servers.back()->set_on_fork([] {
            ::prctl(PR_SET_PDEATHSIG, 0);
            ::alarm(20);
          });
        }
        for (const auto& server : servers) {
          Peer peer = connect(*server);
          EXPECT_NE(ask(loop, peer, "pid"), "");
          static_cast<void>(peer.fd.release());
        }
        // exit() would run the destructors, which kill the children.
        ::_exit(::testing::Test::HasFailure() ? 1 : 0);
      }),
      0);
  alive.far.reset();
  pollfd end{alive.near.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&end, 1, 5000), 1) << "they have copies of the other end";
}
#endif

// Root may fork beyond every limit, so the child becomes another user.
TEST_P(ForkServers, AForkThatFailsIsTriedAgain) {
#if defined(__linux__)
  EXPECT_EQ(in_child([&] {
              if (::geteuid() == 0) {
                ASSERT_EQ(::setuid(54321), 0);
              }
              LogCapture log;
              Loop loop(options());
              FdPair gate = make_pipe();
              auto server = get(ForkServer::listen<Talker>(loop, Address::loopback(0), {}, gate));
              rlimit before{};
              ::getrlimit(RLIMIT_NPROC, &before);
              const rlimit none{1, before.rlim_max};
              ASSERT_EQ(::setrlimit(RLIMIT_NPROC, &none), 0);
              Peer first = connect(*server), second = connect(*server);
              first.write("first");
              second.write("second");
              EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 2; }));
              EXPECT_LE(run_for(loop, milliseconds(250)), 8) << "no spinning";
              EXPECT_EQ(server->connections(), 2U);
              EXPECT_EQ(server->children(), 0U);
              const auto warns = std::count_if(
                  log.lines().begin(), log.lines().end(), [](const LogCapture::Line& line) {
                    return line.text.find("can't fork") != std::string::npos;
                  });
              EXPECT_EQ(warns, 1) << "of the first, and not of the second try";
              ASSERT_EQ(::setrlimit(RLIMIT_NPROC, &before), 0);
              EXPECT_TRUE(pump(loop, [&] { return first.read(), first.got == "first"; }));
              EXPECT_TRUE(pump(loop, [&] { return second.read(), second.got == "second"; }));
            }),
            0);
#else
  GTEST_SKIP() << "no way to make fork() fail";
#endif
}

INSTANTIATE_TEST_SUITE_P(Backends, ForkServers, every_backend(), BackendName());

// ---- In workers ----

class ForkModel : public PreforkTest {
 protected:
  [[nodiscard]] Options forking(unsigned workers) const {
    Options result = options(workers);
    result.model = Model::fork;
    return result;
  }
};

int serve_talkers(Worker& worker, const Lines& lines) {
  lines.say("process " + std::to_string(::getpid()));
  FdPair gate = make_pipe();
  auto server = get(Server<Talker>::adopt(worker.loop(), worker.listeners(), {}, gate));
  return worker.serve(*server);
}

UniqueFd connect_to(const std::string& address) {
  UniqueFd fd = get(Socket::connect(get(Address::parse(address)))).release();
  pollfd wait{fd.get(), POLLOUT, 0};
  ::poll(&wait, 1, 5000);
  return fd;
}

TEST_P(ForkModel, TheWorkerFunctionRunsForEachConnection) {
  for (const unsigned workers : {0U, 2U}) {
    Running master(forking(workers), &serve_talkers);
    const std::string address = master.lines.after("listening ");
    static_cast<void>(master.lines.after("ready"));
    const UniqueFd first = connect_to(address);
    const std::string pid = master.lines.after("process ");
    const UniqueFd second = connect_to(address);
    EXPECT_NE(master.lines.after("process "), pid);
    // All processes reopen their log files.
    if (workers == 0) {
      master.signal(SIGUSR1);
      std::set<std::string> reopened;
      for (int i = 0; i < 3; ++i) reopened.insert(master.lines.after("reopen "));
      EXPECT_EQ(reopened.size(), 3U);
      EXPECT_TRUE(reopened.contains(pid));
    }
    master.signal(SIGTERM);
    EXPECT_EQ(master.lines.after("returned "), "0");
    EXPECT_EQ(master.wait(), 0);
  }
}

TEST_P(ForkModel, AFunctionThatDoesNotServeIsToldSo) {
  Running master(forking(1), [](Worker& worker, const Lines&) { return worker.run(); });
  const std::string address = master.lines.after("listening ");
  static_cast<void>(master.lines.after("ready"));
  const UniqueFd connection = connect_to(address);
  EXPECT_EQ(master.lines.after("log a process per connection needs "),
            "a worker function that calls serve()");
}

INSTANTIATE_TEST_SUITE_P(Backends, ForkModel, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::prefork
