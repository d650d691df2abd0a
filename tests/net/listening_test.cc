// SPDX-License-Identifier: MIT
// These tests show what the kernel does with listening sockets that are about to be closed, or that
// many processes poll.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "reactor/net/server.h"
#include "tests/support/fd_guard.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

bool becomes_ready(int fd, short events, milliseconds limit) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, static_cast<int>(limit.count())) == 1;
}

class Listening : public ::testing::Test {
 protected:
  void listen(std::chrono::seconds defer = std::chrono::seconds(0)) {
    ListenOptions options;
    options.defer_accept = defer;
    socket = get(Socket::listen(Address::loopback(0), options));
    address = socket.local().value();
  }
  bool supported() { return Socket::queue_length(socket.fd()).has_value(); }

  FdGuard guard_;
  Socket socket;
  Address address;
  void TearDown() override { socket = {}; }
};

TEST_F(Listening, TheLengthOfTheQueueIsTold) {
  listen();
  if (!supported()) GTEST_SKIP();
  EXPECT_EQ(get(Socket::queue_length(socket.fd())), 0U);
  std::vector<Socket> clients;
  for (std::size_t i = 1; i <= 3; ++i) {
    clients.push_back(get(Socket::connect(address)));
    ASSERT_TRUE(becomes_ready(clients.back().fd(), POLLOUT, milliseconds(5000)));
    EXPECT_EQ(get(Socket::queue_length(socket.fd())), i);
  }
  EXPECT_TRUE(get(Socket::accept(socket.fd())));
  EXPECT_EQ(get(Socket::queue_length(socket.fd())), 2U);
}

TEST_F(Listening, RefusedAreOnlyNewOnesUntilTheyAreLetInAgain) {
  listen();
  if (!supported()) GTEST_SKIP();
  Peer early;
  early.fd = get(Socket::connect(address)).release();
  ASSERT_TRUE(becomes_ready(early.fd.get(), POLLOUT, milliseconds(5000)));
  ASSERT_TRUE(Socket::refuse_new(socket.fd()));
  const Socket late = get(Socket::connect(address));
  EXPECT_FALSE(becomes_ready(late.fd(), POLLOUT, milliseconds(100))) << "the SYN was answered";
  early.write("still");
  const Socket accepted = get(Socket::accept(socket.fd()));
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(becomes_ready(accepted.fd(), POLLIN, milliseconds(5000)));
  EXPECT_EQ(read_text(accepted.fd()), "still");
  write_text(accepted.fd(), "and back");
  EXPECT_TRUE(becomes_ready(early.fd.get(), POLLIN, milliseconds(5000)));
  Socket::accept_new(socket.fd());
  EXPECT_TRUE(becomes_ready(late.fd(), POLLOUT, milliseconds(5000))) << "its SYN comes again";
}

TEST_F(Listening, DeferredConnectionsComeInTimeThoughNewOnesAreRefused) {
  listen(std::chrono::seconds(1));
  if (!supported()) GTEST_SKIP();
  Peer silent, speaks;
  silent.fd = get(Socket::connect(address)).release();
  speaks.fd = get(Socket::connect(address)).release();
  ASSERT_TRUE(becomes_ready(silent.fd.get(), POLLOUT, milliseconds(5000)));
  ASSERT_TRUE(becomes_ready(speaks.fd.get(), POLLOUT, milliseconds(5000)));
  EXPECT_EQ(get(Socket::queue_length(socket.fd())), 0U) << "they wait outside";
  ASSERT_TRUE(Socket::refuse_new(socket.fd()));
  speaks.write("x");
  EXPECT_TRUE(becomes_ready(socket.fd(), POLLIN, milliseconds(5000)));
  EXPECT_TRUE(get(Socket::accept(socket.fd())));
  const milliseconds latest = Socket::latest_arrival(socket.fd());
  EXPECT_GE(latest, milliseconds(1000));
  EXPECT_TRUE(becomes_ready(socket.fd(), POLLIN, latest)) << "the silent one";
  EXPECT_TRUE(get(Socket::accept(socket.fd())));
}

class Hello final : public StreamHandler {
  void on_open(Stream& stream) override {
    stream.write("hello");
    stream.close();
  }
  void on_data(Stream&, std::span<std::byte>) override {}
};

class ListeningLoop : public LoopTest {};

TEST_P(ListeningLoop, DrainLosesNoCompletedHandshakeInAStorm) {
  Loop loop(options());
  auto server = get(Server<Hello>::listen(loop, Address::loopback(0)));
  const Address address = server->addresses()[0];
  std::vector<Peer> peers;
  const auto connect_some = [&] {
    for (int i = 0; i < 5; ++i) {
      Peer peer;
      Result<Socket> socket = Socket::connect(address);
      if (!socket) continue;
      peer.fd = socket->release();
      peers.push_back(std::move(peer));
    }
  };
  bool done = false;
  for (int turn = 0; turn < 1000 && !done; ++turn) {
    if (turn == 10) {
      while (peers.size() < 250) connect_some();  // all 250 are in the accept queue now
      server->drain([&] { done = true; });
    }
    if (peers.size() < 800) connect_some();
    ASSERT_TRUE(loop.run_once(milliseconds(1)));
  }
  EXPECT_TRUE(done);
  server.reset();
  if (!Socket::queue_length(get(Socket::listen(address, {})).fd())) return;
  std::size_t served = 0, failed = 0;
  for (Peer& peer : peers) {
    if (!becomes_ready(peer.fd.get(), POLLIN, milliseconds(0))) continue;  // still waits to connect
    peer.read();
    if (peer.error == ECONNREFUSED) continue;  // the kernel has not accepted it either
    (peer.got == "hello" ? served : failed)++;
  }
  EXPECT_GE(served, 250U);
  EXPECT_EQ(failed, 0U);
}

// ---- One socket, several processes ----

struct Count final : AcceptHandler {
  void on_accept(Listener& listener, Socket connection) override {
    connections.push_back(std::move(connection));
    if (connections.size() == pause_at) listener.pause();
  }
  std::vector<Socket> connections;
  std::size_t pause_at = 0;
};

TEST_P(ListeningLoop, ASharedListenerPausesAndResumes) {
  Loop loop(options());
  Count count;
  const auto listener = get(Listener::listen(loop, Address::loopback(0), count));
  listener->share();
  listener->share();  // again
  std::vector<Socket> clients;
  const auto connect = [&] { clients.push_back(get(Socket::connect(listener->address()))); };
  connect();
  EXPECT_TRUE(run_bounded(loop, [&] { return count.connections.size() == 1; }));
  listener->pause();
  run_for(loop, milliseconds(10));
  connect();
  const int turns = run_for(loop, milliseconds(50));
  EXPECT_EQ(count.connections.size(), 1U);
  EXPECT_LT(turns, 10) << "it spins";
  ASSERT_TRUE(listener->resume());
  EXPECT_TRUE(run_bounded(loop, [&] { return count.connections.size() == 2; }));
  for (int i = 0; i < 3; ++i) {  // without a turn of the loop in between
    listener->pause();
    ASSERT_TRUE(listener->resume());
  }
  connect();
  EXPECT_TRUE(run_bounded(loop, [&] { return count.connections.size() == 3; }));
}

TEST_P(ListeningLoop, NothingIsLostBetweenTwoLoopsAtOneSocket) {
  Loop first(options()), second(options());
  Count one, two;
  one.pause_at = 5;
  const auto listener = get(Listener::listen(first, Address::loopback(0), one));
  const auto copy = get(Listener::adopt(second, Socket(UniqueFd(::dup(listener->fd()))), two));
  listener->share();
  copy->share();
  std::vector<Socket> clients;
  for (std::size_t i = 1; i <= 100; ++i) {
    clients.push_back(get(Socket::connect(listener->address())));
    EXPECT_TRUE(pump(first, [&] {
      static_cast<void>(second.poll());
      return one.connections.size() + two.connections.size() == i;
    })) << i;
  }
  EXPECT_LE(one.connections.size(), 6U) << "the last it may have been woken for";
}

// Counts its events and accepts nothing, so the connection stays in the queue.
struct Watch final : PollTarget {
  explicit Watch(int fd) : PollTarget(fd) {}
  void on_ready(Ready) override { ++woken; }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"watch", fd(), {}, {}}; }
  int woken = 0;
};

// All three processes sleep. The test counts how many of them wake for one connection.
TEST_P(ListeningLoop, AConnectionNeedNotWakeEveryChild) {
  const auto wakes = [&](bool shared) {
    const Socket socket = get(Socket::listen(Address::loopback(0), {}));
    const FdPair report = make_pipe();
    std::vector<pid_t> children;
    for (int i = 0; i < 3; ++i) {
      children.push_back(spawn_child([&, backend = GetParam()] {
        LoopOptions settings;
        settings.backend = backend;
        Loop loop(std::move(settings));
        Watch watch(socket.fd());
        const Sharing sharing = shared ? Sharing::shared : Sharing::alone;
        if (!loop.attach(watch, Interest::read, false, sharing)) return 3;
        if (::write(report.far.get(), "r", 1) != 1) return 2;
        const bool woke = run_bounded(
            loop, [&] { return watch.woken > 0; }, std::chrono::seconds(1));
        loop.detach(watch, Detach::staying);
        return !woke || ::write(report.far.get(), "w", 1) == 1 ? 0 : 2;
      }));
    }
    std::string said;
    while (said.size() < 3 && becomes_ready(report.near.get(), POLLIN, milliseconds(5000))) {
      said += read_text(report.near.get());
    }
    ::poll(nullptr, 0, 100);  // until they sleep
    const Socket client = get(Socket::connect(socket.local().value()));
    for (const pid_t child : children) EXPECT_EQ(wait_for_child(child), 0);
    said += read_text(report.near.get());
    return said.size() - 3;
  };
  if (GetParam() != Backend::epoll) {
    EXPECT_TRUE(once_undisturbed([&] { return wakes(true) >= 1; }));
    return;
  }
  // If a process does not sleep yet when the connection comes, it finds the connection later.
  EXPECT_TRUE(once_undisturbed([&] { return wakes(true) == 1; }));
  EXPECT_TRUE(once_undisturbed([&] { return wakes(false) == 3; })) << "or this test can't fail";
}

INSTANTIATE_TEST_SUITE_P(Backends, ListeningLoop, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
