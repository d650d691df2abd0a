// SPDX-License-Identifier: MIT
#include "reactor/net/listener.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/few_descriptors.h"
#include "tests/support/fork.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/temporary_folder.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class ListenerTest : public LoopTest {};
class ListenerTestFork : public LoopTest {};

// This handler keeps the connections that it gets.
class Keeper : public AcceptHandler {
 public:
  void on_accept(Listener& listener, Socket connection) override {
    connections.push_back(std::move(connection));
    if (when_accepted) when_accepted(listener);
  }
  void on_listener_error(Listener& listener, std::error_code code) override {
    AcceptHandler::on_listener_error(listener, code);
    error = code;
  }
  std::vector<Socket> connections;
  std::error_code error;
  Callback<void(Listener&)> when_accepted;
};

std::unique_ptr<Listener> listen(Loop& loop, Keeper& keeper) {
  return get(Listener::listen(loop, Address::loopback(0), keeper));
}

std::vector<Socket> connect_many(const Address& address, std::size_t count) {
  std::vector<Socket> clients;
  for (std::size_t i = 0; i < count; ++i) clients.push_back(get(Socket::connect(address)));
  return clients;
}

TEST_P(ListenerTest, HandsConnectionsOver) {
  Loop loop(options());
  Keeper keeper;
  const auto listener = listen(loop, keeper);
  EXPECT_NE(listener->address().port(), 0);
  EXPECT_EQ(&listener->loop(), &loop);
  const auto clients = connect_many(listener->address(), 3);
  ASSERT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 3; }));
  EXPECT_EQ(keeper.connections[0].peer().value(), clients[0].local().value());
  EXPECT_EQ(loop.counts().transports, 1U);
}

TEST_P(ListenerTest, UnixSocketsAreAcceptedAndTheirFileGoesWithTheListener) {
  const TemporaryFolder folder;
  const Address address = folder.socket("s");
  {
    Loop loop(options());
    Keeper keeper;
    auto listener = get(Listener::listen(loop, address, keeper));
    const Socket client = get(Socket::connect(address));
    EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 1; }));
    listener.reset();
    EXPECT_FALSE(std::filesystem::exists(folder.file("s")));
  }
}

TEST_P(ListenerTest, AnotherServersFileIsNotRemoved) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  const Address address = folder.socket("s");
  {
    Loop loop(options());
    Keeper keeper;
    auto first = get(Listener::listen(loop, address, keeper));
    std::filesystem::remove(path);
    const auto second = get(Listener::listen(loop, address, keeper));
    first.reset();
    EXPECT_TRUE(std::filesystem::exists(path));
  }
}

TEST_P(ListenerTest, PauseLeavesTheQueueAndResumeGoesOn) {
  Loop loop(options());
  Keeper keeper;
  const auto listener = listen(loop, keeper);
  listener->pause();
  EXPECT_TRUE(listener->paused());
  const auto clients = connect_many(listener->address(), 2);
  EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "no spinning while it waits";
  EXPECT_TRUE(keeper.connections.empty());
  EXPECT_TRUE(listener->resume());
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 2; }));
}

// Several processes wait at a shared socket. If a paused one took the event, no other process would
// be woken for the connection.
TEST_P(ListenerTest, APausedOneThatSharesItsSocketTakesNoEvent) {
  Loop loop(options());
  Keeper keeper;
  const auto listener = listen(loop, keeper);
  listener->share();
  EXPECT_TRUE(loop.poll());
  listener->pause();
  const Socket client = get(Socket::connect(listener->address()));
  const std::uint64_t before = loop.stats().events.get();
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.stats().events.get(), before);
  ASSERT_TRUE(listener->resume());
  EXPECT_TRUE(poll_until(loop, [&] { return keeper.connections.size() == 1; }));
}

// The connection may have woken only this process. Then no other process would accept it.
TEST_P(ListenerTest, APausedOneThatSharesItsSocketWaitsForADescriptorToo) {
  Loop loop(options());
  Keeper keeper;
  LogCapture log;
  const auto listener = listen(loop, keeper);
  listener->share();
  const Socket client = get(Socket::connect(listener->address()));
  listener->pause();
  {
    const FewDescriptors few(0);
    EXPECT_TRUE(run_bounded(loop, [&] { return listener->exhaustions() > 0; }));
    EXPECT_TRUE(keeper.connections.empty());
  }
  EXPECT_EQ(log.lines().size(), 1U);
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 1; }));
  EXPECT_TRUE(listener->paused());
}

TEST_P(ListenerTest, PauseInTheCallbackIsObeyedAtOnce) {
  Loop loop(options());
  Keeper keeper;
  keeper.when_accepted = [](Listener& listener) { listener.pause(); };
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 3);
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() >= i; }));
    EXPECT_TRUE(loop.poll() && loop.poll());
    EXPECT_EQ(keeper.connections.size(), i);
    EXPECT_TRUE(listener->resume());
  }
}

TEST_P(ListenerTest, MayBeDestroyedInItsCallback) {
  Loop loop(options());
  Keeper keeper;
  auto listener = listen(loop, keeper);
  keeper.when_accepted = [&](Listener&) { listener.reset(); };
  const auto clients = connect_many(listener->address(), 3);
  EXPECT_TRUE(run_bounded(loop, [&] { return listener == nullptr; }));
  EXPECT_LE(run_for(loop, milliseconds(10)), 3);
  EXPECT_EQ(keeper.connections.size(), 1U);
  EXPECT_EQ(loop.counts().transports, 0U);
}

TEST_P(ListenerTest, AcceptNowDoesNotWaitForThePoller) {
  Loop loop(options());
  Keeper keeper;
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 3);
  listener->accept_now();
  EXPECT_EQ(keeper.connections.size(), 3U);
}

TEST_P(ListenerTest, AdoptTakesASocketThatListensAlready) {
  Loop loop(options());
  Keeper keeper;
  Socket socket = get(Socket::listen(Address::loopback(0), {}));
  const Address address = socket.local().value();
  const auto listener = get(Listener::adopt(loop, std::move(socket), keeper));
  EXPECT_EQ(listener->address(), address);
  const auto clients = connect_many(address, 1);
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 1; }));
}

TEST_P(ListenerTest, ABrokenSocketIsReportedOnceAndNotPolled) {
  Loop loop(options());
  Keeper keeper;
  const LogCapture log;
  const Socket target = get(Socket::listen(Address::loopback(0), {}));
  Socket not_listening = get(Socket::connect(target.local().value()));
  const auto listener = get(Listener::adopt(loop, std::move(not_listening), keeper));
  listener->accept_now();
  EXPECT_EQ(keeper.error, std::errc::invalid_argument);
  EXPECT_EQ(log.lines().size(), 1U);
  EXPECT_LE(run_for(loop, milliseconds(10)), 3);
}

TEST_P(ListenerTest, AnAddressThatCanNotBeBoundIsAnError) {
  Loop loop(options());
  Keeper keeper;
  const auto first = listen(loop, keeper);
  EXPECT_EQ(Listener::listen(loop, first->address(), keeper).error(), std::errc::address_in_use);
}

TEST_P(ListenerTest, ExhaustedDescriptorsPauseItWithoutSpinning) {
  Loop loop(options());
  Keeper keeper;
  LogCapture log;
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 30);
  {
    const FewDescriptors few(10);
    EXPECT_TRUE(run_bounded(loop, [&] { return listener->exhaustions() > 0; }));
    EXPECT_EQ(keeper.connections.size(), 10U) << "as many as there is room for";
    const Duration before = cpu_time();
    EXPECT_LE(run_for(loop, milliseconds(250)), 10) << "it tries again by timer";
    EXPECT_LT(cpu_time() - before, milliseconds(100));
    EXPECT_TRUE(run_bounded(loop, [&] { return listener->exhaustions() >= 2; }));
    write_text(clients[0].fd(), "?");
    EXPECT_EQ(read_text(keeper.connections[0].fd()), "?") << "old ones are served";
  }
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 30; }));
  EXPECT_EQ(log.lines().size(), 1U) << "one line, not one a retry";
  const auto later = connect_many(listener->address(), 1);
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 31; }))
      << "it is polled again";
}

TEST_P(ListenerTest, PauseAndResumeWhileItIsExhausted) {
  Loop loop(options());
  Keeper keeper;
  const LogCapture log;
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 20);
  {
    const FewDescriptors few(5);
    EXPECT_TRUE(run_bounded(loop, [&] { return listener->exhaustions() > 0; }));
    listener->pause();
    EXPECT_LE(run_for(loop, milliseconds(130)), 5);
  }
  run_for(loop, milliseconds(130));
  EXPECT_EQ(keeper.connections.size(), 5U) << "paused";
  EXPECT_TRUE(listener->resume());
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 20; }));
}

TEST_P(ListenerTest, TheRetryDoesNotOutliveTheListener) {
  Loop loop(options());
  Keeper keeper;
  LogCapture log;
  auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 20);
  {
    const FewDescriptors few(5);
    EXPECT_TRUE(run_bounded(loop, [&] { return listener->exhaustions() > 0; }));
    listener.reset();
  }
  EXPECT_TRUE(loop.run()) << "nothing is left";
  EXPECT_LE(run_for(loop, milliseconds(150)), 3);
  EXPECT_EQ(keeper.connections.size(), 5U);
  EXPECT_EQ(log.lines().size(), 1U);
}

TEST_P(ListenerTest, AConnectionThatIsResetInTheQueueHarmsNobody) {
  Loop loop(options());
  Keeper keeper;
  LogCapture log;
  const auto listener = listen(loop, keeper);
  for (int i = 0; i < 20; ++i) {
    const Socket client = get(Socket::connect(listener->address()));
    Socket::reset_on_close(client.fd());
  }
  const auto good = connect_many(listener->address(), 1);
  const Address expected = good[0].local().value();
  EXPECT_TRUE(run_bounded(loop, [&] {
    return std::any_of(keeper.connections.begin(), keeper.connections.end(),
                       [&](const Socket& each) {
                         const auto peer = each.peer();
                         return peer && *peer == expected;
                       });
  }));
  EXPECT_TRUE(log.lines().empty());
}

TEST_P(ListenerTest, AStormOfConnectionsDoesNotStarveOthers) {
  Loop loop(options());
  Keeper keeper;
  const auto listener = listen(loop, keeper);
  listener->pause();
  const auto clients = connect_many(listener->address(), 600);
  FdPair busy = make_socket_pair();
  int answers = 0;
  IoWatcher echo = get(loop.watch(busy.near.get(), Interest::read, [&](Ready) {
    ++answers;
    static_cast<void>(read_text(busy.near.get()));
  }));
  EXPECT_TRUE(listener->resume());
  int turns = 0;
  for (std::size_t before = 0; keeper.connections.size() < 600 && turns < 100; ++turns) {
    write_text(busy.far.get(), "?");
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_LE(keeper.connections.size() - before, std::size_t{Listener::kAcceptBudget});
    EXPECT_EQ(answers, turns + 1);
    before = keeper.connections.size();
  }
  EXPECT_EQ(keeper.connections.size(), 600U);
  EXPECT_GE(turns, 3);
}

TEST_P(ListenerTest, ExceptionsFromOnAcceptLeaveRunAndTheRestIsAcceptedLater) {
  Loop loop(options());
  Keeper keeper;
  keeper.when_accepted = [](Listener&) { throw 7; };
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 3);
  for (std::size_t i = 1; i <= 3; ++i) {
    EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
    EXPECT_EQ(keeper.connections.size(), i);
  }
}

TEST_P(ListenerTestFork, G9_AChildsDestructorLeavesTheUnixFileAlone) {
  const TemporaryFolder folder;
  const Address address = folder.socket("s");
  {
    Loop loop(options());
    Keeper keeper;
    auto listener = get(Listener::listen(loop, address, keeper));
    EXPECT_EQ(in_child([&] { listener.reset(); }), 0);
    EXPECT_TRUE(std::filesystem::exists(folder.file("s")));
    const Socket client = get(Socket::connect(address));
    EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 1; }));
  }
}

TEST_P(ListenerTest, TheLoopMayGoFirst) {
  auto loop = std::make_unique<Loop>(options());
  Keeper keeper;
  auto listener = listen(*loop, keeper);
  loop.reset();
  listener.reset();
}

// A handler that serves connections inside on_accept() takes time. Other work waits no longer than
// one batch.
TEST_P(ListenerTest, ABatchIsLimitedInTimeToo) {
  Loop loop(options());
  Keeper keeper;
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 100);
  keeper.when_accepted = [](Listener&) { burn(milliseconds(1)); };
  std::size_t before = 0;
  EXPECT_TRUE(run_bounded(loop, [&] {
    EXPECT_LE(keeper.connections.size() - before, 2U * Listener::kAcceptStride);
    before = keeper.connections.size();
    return before == 100;
  }));
}

// Connections that the handler does not take yet stay in the kernel's queue, and none is lost.
TEST_P(ListenerTest, TakesNoMoreThanItsHandlerDoes) {
  struct Chooser final : Keeper {
    [[nodiscard]] bool takes_more() const noexcept override { return connections.size() < room; }
    std::size_t room = 2;
  };
  Loop loop(options());
  Chooser keeper;
  const auto listener = listen(loop, keeper);
  const auto clients = connect_many(listener->address(), 5);
  for (int turn = 0; turn < 3; ++turn) ASSERT_TRUE(loop.poll());
  EXPECT_EQ(keeper.connections.size(), 2U);
  EXPECT_FALSE(listener->accept_now());
  keeper.room = 5;
  EXPECT_TRUE(run_bounded(loop, [&] { return keeper.connections.size() == 5; }));
}

INSTANTIATE_TEST_SUITE_P(Backends, ListenerTest, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, ListenerTestFork, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
