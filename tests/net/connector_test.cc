// SPDX-License-Identifier: MIT
#include "reactor/net/connector.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/temporary_folder.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

Socket listen_on(const Address& address, int backlog = 16) {
  ListenOptions options;
  options.backlog = backlog;
  return get(Socket::listen(address, options));
}

Address local_of(const Socket& socket) { return get(socket.local()); }

// Returns a port that refuses connections: its listening socket is closed again.
Address closed_tcp_port() { return local_of(listen_on(Address::loopback(0))); }

// Blackhole is an address of this host that neither accepts nor refuses connections, because its
// backlog is full.
class Blackhole {
 public:
  explicit Blackhole(const Address& where) : listener_(listen_on(where, 0)) {
    const Address address = local_of(listener_);
    for (int i = 0; i < 8; ++i) {
      Result<Socket> client = Socket::connect(address);
      if (!client) break;  // a unix socket reports a full backlog
      clients_.push_back(std::move(*client));
    }
  }
  [[nodiscard]] Address address() const { return local_of(listener_); }
  // Makes room for one connection.
  void take_one() { EXPECT_TRUE(get(Socket::accept(listener_.fd()))); }

 private:
  Socket listener_;
  std::vector<Socket> clients_;
};

TEST(FinishConnect, AConnectThatIsNotDecidedYetHasNotFailed) {
  const Blackhole dead(Address::loopback(0));
  const Socket client = get(Socket::connect(dead.address()));
  EXPECT_EQ(Socket::finish_connect(client.fd(), dead.address()),
            std::errc::connection_already_in_progress);
}

// ConnectOutcome records the calls of the callback.
struct ConnectOutcome {
  Connector::Done callback() {
    return [this](Result<Socket> result) {
      ++calls;
      error = result.error();
      if (result) socket = std::move(*result);
      at = monotonic_now();
    };
  }
  [[nodiscard]] bool done() const { return calls > 0; }

  int calls = 0;
  std::error_code error;
  Socket socket;
  TimePoint at;
};

ConnectOptions quick(milliseconds timeout = milliseconds(5000),
                     milliseconds delay = milliseconds(10)) {
  ConnectOptions options;
  options.timeout = timeout;
  options.attempt_delay = delay;
  return options;
}

class ConnectorTest : public LoopTest {
 protected:
  std::unique_ptr<Connector> start(const std::vector<Address>& addresses,
                                   const ConnectOptions& settings = quick()) {
    return get(Connector::connect(loop, addresses, settings, outcome.callback()));
  }
  // Runs the loop until the callback, and for two more turns to see that it is called only once.
  void finish() {
    ASSERT_TRUE(run_bounded(loop, [&] { return outcome.done(); }));
    ASSERT_TRUE(loop.poll() && loop.poll());
    EXPECT_EQ(outcome.calls, 1);
    EXPECT_EQ(loop.counts().io, 0U) << "an attempt goes on";
  }
  bool has_v6() {
    const Result<Address> v6 = Address::parse("[::1]:0");
    return Socket::listen(*v6, {}).has_value();
  }
  Address v6_loopback() { return get(Address::parse("[::1]:0")); }
  // Returns the error of an attempt to connect to a closed port.
  static std::errc refused() {
    return on_libkqueue(GetParam()) ? std::errc::connection_aborted : std::errc::connection_refused;
  }

  Loop loop{options()};
  ConnectOutcome outcome;
};

INSTANTIATE_TEST_SUITE_P(Backends, ConnectorTest, every_backend(), BackendName());

TEST_P(ConnectorTest, Connects) {
  const Socket server = listen_on(Address::loopback(0));
  const auto connector = start({local_of(server)});
  EXPECT_TRUE(connector->pending());
  EXPECT_EQ(outcome.calls, 0) << "never from inside the factory";
  finish();
  EXPECT_FALSE(connector->pending());
  EXPECT_FALSE(outcome.error);
  ASSERT_TRUE(outcome.socket);
  EXPECT_EQ(get(outcome.socket.peer()), local_of(server));
  EXPECT_NE(socket_option(outcome.socket.fd(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(::fcntl(outcome.socket.fd(), F_GETFL) & O_NONBLOCK, 0);
  ASSERT_EQ(connector->attempts().size(), 1U);
  EXPECT_FALSE(connector->attempts()[0].error);
  write_text(outcome.socket.fd(), "hello");
  const Socket accepted = get(Socket::accept(server.fd()));
  ASSERT_TRUE(pump(loop, [&] { return read_text(accepted.fd(), 5) == "hello"; }));
}

TEST_P(ConnectorTest, KeepsRunGoingUntilItHasCalledBack) {
  const Socket server = listen_on(Address::loopback(0));
  const auto connector = start({local_of(server)});
  ASSERT_TRUE(run_to_end(loop));
  EXPECT_EQ(outcome.calls, 1);
}

TEST_P(ConnectorTest, SetsTcpOptionsBeforeItConnects) {
  const Socket server = listen_on(Address::loopback(0));
  ConnectOptions settings = quick();
  settings.tcp.no_delay = false;
  settings.tcp.keep_alive = KeepAlive{.idle = std::chrono::seconds(7)};
  const auto connector = start({local_of(server)}, settings);
  finish();
  EXPECT_EQ(socket_option(outcome.socket.fd(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(socket_option(outcome.socket.fd(), SOL_SOCKET, SO_KEEPALIVE), 0);
}

TEST_P(ConnectorTest, ATcpOptionThatTheSystemRefusesIsTheErrorOfTheAttempt) {
  const Socket server = listen_on(Address::loopback(0));
  ConnectOptions settings = quick();
  settings.tcp.congestion_control = "there-is-none";
  const auto connector = start({local_of(server)}, settings);
  finish();
  ASSERT_EQ(connector->attempts().size(), 1U);
  EXPECT_TRUE(connector->attempts()[0].error);
  EXPECT_EQ(outcome.error, connector->attempts()[0].error);
}

TEST_P(ConnectorTest, F1RefusedIsToldOnce) {
  const auto connector = start({closed_tcp_port()});
  finish();
  EXPECT_EQ(outcome.error, refused());
  ASSERT_EQ(connector->attempts().size(), 1U);
  EXPECT_EQ(connector->attempts()[0].error, refused());
}

TEST_P(ConnectorTest, TimesOutAtTheDeadlineAndNotBefore) {
  const Blackhole dead(Address::loopback(0));
  const TimePoint begin = monotonic_now();
  const auto connector = start({dead.address()}, quick(milliseconds(30)));
  finish();
  EXPECT_EQ(outcome.error, Errc::timed_out);
  EXPECT_EQ(outcome.error, std::errc::timed_out);
  EXPECT_GE(outcome.at - begin, milliseconds(30));
  EXPECT_LT(outcome.at - begin, kLimit / 2);
  EXPECT_EQ(connector->attempts()[0].error, Errc::timed_out);
}

TEST_P(ConnectorTest, TheDeadlineIsForAllAttemptsTogether) {
  const Blackhole dead(Address::loopback(0));
  const std::vector<Address> many(20, dead.address());
  EXPECT_TRUE(once_undisturbed([&] {
    outcome = {};
    const TimePoint begin = monotonic_now();
    const auto connector = start(many, quick(milliseconds(55)));
    finish();
    EXPECT_EQ(outcome.error, Errc::timed_out);
    EXPECT_GE(outcome.at - begin, milliseconds(55));
    EXPECT_LE(connector->attempts().size(), 6U) << "one each 10 ms";
    return connector->attempts().size() >= 2;
  }));
}

TEST_P(ConnectorTest, NoAddressIsAnError) {
  const auto connector = start({});
  EXPECT_EQ(outcome.calls, 0);
  finish();
  EXPECT_EQ(outcome.error, std::errc::destination_address_required);
}

TEST_P(ConnectorTest, AnEmptyCallbackIsRefused) {
  const auto connector = Connector::connect(loop, closed_tcp_port(), {}, {});
  EXPECT_EQ(connector.error(), std::errc::invalid_argument);
}

TEST_P(ConnectorTest, G9AForkedChildOnlyCloses) {
  const Blackhole dead(Address::loopback(0));
  auto connector = start({dead.address()}, quick(milliseconds(30)));
  ASSERT_TRUE(loop.poll());
  EXPECT_EQ(in_child([&] {
              const auto another = Connector::connect(loop, dead.address(), {}, outcome.callback());
              EXPECT_EQ(another.error(), Errc::wrong_process);
              connector.reset();
            }),
            0);
  finish();
  EXPECT_EQ(outcome.error, Errc::timed_out) << "the parent's went on";
}

TEST_P(ConnectorTest, TheFirstThatAnswersWinsAndTheRestIsClosed) {
  const Blackhole dead(Address::loopback(0));
  const Socket server = listen_on(Address::loopback(0));
  const auto connector = start(
      {closed_tcp_port(), dead.address(), dead.address(), local_of(server), closed_tcp_port()});
  finish();
  EXPECT_EQ(get(outcome.socket.peer()), local_of(server));
  const auto attempts = connector->attempts();
  ASSERT_EQ(attempts.size(), 4U) << "the last one was not needed";
  EXPECT_EQ(attempts[0].error, refused());
  EXPECT_EQ(attempts[1].error, std::errc::operation_canceled);
  EXPECT_EQ(attempts[2].error, std::errc::operation_canceled);
  EXPECT_FALSE(attempts[3].error);
}

TEST_P(ConnectorTest, TheNextOneStartsAtOnceWhenTheLatestFailed) {
  const Socket server = listen_on(Address::loopback(0));
  std::vector<Address> addresses(20, closed_tcp_port());
  addresses.push_back(local_of(server));
  const TimePoint begin = monotonic_now();
  const auto connector = start(addresses, quick(milliseconds(9000), milliseconds(8000)));
  finish();
  EXPECT_TRUE(outcome.socket);
  EXPECT_EQ(connector->attempts().size(), 21U);
  EXPECT_LT(outcome.at - begin, milliseconds(8000));
}

TEST_P(ConnectorTest, ADeadV6AddressCostsAtMost300Milliseconds) {
  if (!has_v6()) GTEST_SKIP();
  const Blackhole dead(v6_loopback());
  const Socket server = listen_on(Address::loopback(0));
  const TimePoint begin = monotonic_now();
  const auto connector = start({dead.address(), local_of(server)}, ConnectOptions{});
  ASSERT_TRUE(run_bounded(loop, [&] { return !connector->attempts().empty(); }));
  EXPECT_LE(loop.next_timeout(), milliseconds(300)) << "until the next one starts";
  while (connector->attempts().size() == 1) ASSERT_TRUE(loop.run_once(kLimit));
  EXPECT_GE(monotonic_now() - begin, milliseconds(250)) << "v6 had its time";
  finish();
  EXPECT_EQ(get(outcome.socket.peer()), local_of(server));
}

TEST_P(ConnectorTest, FamiliesAlternate) {
  if (!has_v6()) GTEST_SKIP();
  const Address v4 = closed_tcp_port();
  const Address v6 = local_of(listen_on(v6_loopback()));
  const auto connector = start({v6, v6, v6, v4, v4});
  finish();
  std::vector<int> families;
  for (const ConnectAttempt& one : connector->attempts()) families.push_back(one.address.family());
  EXPECT_EQ(families, (std::vector<int>{AF_INET6, AF_INET, AF_INET6, AF_INET, AF_INET6}));
}

TEST_P(ConnectorTest, TheMostTellingErrorIsTheFinalOne) {
  const Address missing = get(Address::unix_path("/nonexistent/socket"));
  const auto connector = start({Address(), missing, closed_tcp_port(), missing});
  finish();
  EXPECT_EQ(outcome.error, refused());
  ASSERT_EQ(connector->attempts().size(), 4U);
  EXPECT_EQ(connector->attempts()[0].error, std::errc::address_family_not_supported);
  EXPECT_EQ(connector->attempts()[1].error, std::errc::no_such_file_or_directory);

  outcome = {};
  const auto second = start({Address(), missing});
  finish();
  EXPECT_EQ(outcome.error, std::errc::no_such_file_or_directory);
}

TEST_P(ConnectorTest, ConnectsFromTheLocalAddress) {
  const Socket server = listen_on(Address::loopback(0));
  ConnectOptions settings = quick();
  const Address port = closed_tcp_port();
  settings.local = port;
  const auto connector = start({local_of(server)}, settings);
  finish();
  ASSERT_TRUE(outcome.socket) << outcome.error.message();
  EXPECT_EQ(get(outcome.socket.local()), port);

  outcome = {};
  settings.local = Address::loopback(0);
  const auto second = start({local_of(server)}, settings);
  finish();
  ASSERT_TRUE(outcome.socket) << outcome.error.message();
  EXPECT_NE(get(outcome.socket.local()).port(), 0);
}

TEST_P(ConnectorTest, ALocalAddressThatDoesNotFitIsAnError) {
  const Socket server = listen_on(Address::loopback(0));
  ConnectOptions settings = quick();
  settings.local = get(Address::parse("[::1]:0"));
  const auto connector = start({local_of(server)}, settings);
  finish();
  EXPECT_EQ(outcome.error, std::errc::address_family_not_supported);

  outcome = {};
  settings.local = local_of(server);  // this address is in use
  const auto second = start({closed_tcp_port()}, settings);
  finish();
  EXPECT_EQ(outcome.error, std::errc::address_in_use);
}

TEST_P(ConnectorTest, ASocketThatMeetsItselfIsRefused) {
  ConnectOptions settings = quick();
  const Address port = closed_tcp_port();
  settings.local = port;
  const auto connector = start({port}, settings);
  finish();
  EXPECT_EQ(outcome.error, std::errc::connection_refused);
  EXPECT_TRUE(Socket::listen(port, {})) << "the port is free again";
}

TEST_P(ConnectorTest, AnExceptionOutOfTheCallbackLeavesRun) {
  const auto connector = get(Connector::connect(
      loop, closed_tcp_port(), quick(), [](Result<Socket>) { throw std::runtime_error("mine"); }));
  EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
  EXPECT_FALSE(connector->pending());
  ASSERT_TRUE(loop.run());
}

TEST_P(ConnectorTest, TheCallbackMayDestroyTheConnector) {
  const Socket server = listen_on(Address::loopback(0));
  const Blackhole dead(Address::loopback(0));
  // In each case, a different part of the Connector calls the callback.
  const std::vector<std::vector<Address>> cases = {
      {local_of(server)},                  // from the watcher
      {dead.address(), local_of(server)},  // while another attempt is under way
      {closed_tcp_port()},                 // after a failed attempt
      {Address()},                         // after an attempt that failed to begin
      {dead.address()}};                   // from the deadline
  for (const std::vector<Address>& addresses : cases) {
    std::unique_ptr<Connector> connector;
    std::string alive = "a capture that outlives the connector, too long to be held in place";
    bool done = false;
    connector = get(Connector::connect(loop, addresses, quick(milliseconds(30)),
                                       [&connector, &done, alive](Result<Socket>) {
                                         connector.reset();
                                         done = !alive.empty();
                                       }));
    ASSERT_TRUE(run_bounded(loop, [&] { return done; }));
    EXPECT_FALSE(connector);
    EXPECT_EQ(loop.counts().io + loop.counts().timers + loop.counts().deferred, 0U);
  }
}

TEST_P(ConnectorTest, DestroyingItCancelsAtEachStage) {
  const Blackhole dead(Address::loopback(0));
  const Socket server = listen_on(Address::loopback(0));
  const std::vector<Address> addresses = {closed_tcp_port(), dead.address(), dead.address(),
                                          local_of(server)};
  for (int turns = 0; turns < 12; ++turns) {
    auto connector = start(addresses, quick(milliseconds(5000), milliseconds(3)));
    for (int i = 0; i < turns && !outcome.done(); ++i) {
      ASSERT_TRUE(loop.run_once(milliseconds(100)));
    }
    const int calls = outcome.calls;
    connector.reset();
    EXPECT_EQ(loop.counts().io + loop.counts().timers + loop.counts().deferred, 0U);
    ASSERT_TRUE(loop.poll() && loop.poll());
    EXPECT_EQ(outcome.calls, calls);
    outcome = {};
  }
}

TEST_P(ConnectorTest, AddressesMayComeLater) {
  const Socket server = listen_on(Address::loopback(0));
  const auto connector = get(Connector::grow(loop, quick(), outcome.callback()));
  ASSERT_TRUE(loop.poll() && loop.poll());
  const Address closed = closed_tcp_port();
  connector->add(std::span(&closed, 1));
  ASSERT_TRUE(run_bounded(
      loop, [&] { return !connector->attempts().empty() && connector->attempts()[0].error; }));
  ASSERT_TRUE(loop.poll());
  EXPECT_EQ(outcome.calls, 0) << "more may come";
  const Address good = local_of(server);
  connector->add(std::span(&good, 1));
  finish();
  EXPECT_EQ(get(outcome.socket.peer()), good);
  connector->add(std::span(&good, 1));
  connector->no_more();
  ASSERT_TRUE(run_to_end(loop));
  EXPECT_EQ(outcome.calls, 1);
}

TEST_P(ConnectorTest, AnAddressThatComesLaterWaitsForTheLatestAttempt) {
  const Blackhole dead(Address::loopback(0));
  const Socket server = listen_on(Address::loopback(0));
  const auto connector =
      get(Connector::grow(loop, quick(milliseconds(9000), milliseconds(40)), outcome.callback()));
  const Address first = dead.address(), second = local_of(server);
  const TimePoint begin = monotonic_now();
  connector->add(std::span(&first, 1));
  ASSERT_TRUE(run_bounded(loop, [&] { return !connector->attempts().empty(); }));
  connector->add(std::span(&second, 1));
  connector->no_more();
  finish();
  EXPECT_GE(outcome.at - begin, milliseconds(40));
  EXPECT_LT(outcome.at - begin, kLimit / 2);
}

TEST_P(ConnectorTest, TheNextOneNeverStartsAtTheSameTime) {
  const Blackhole dead(Address::loopback(0));
  const Socket server = listen_on(Address::loopback(0));
  const TimePoint begin = monotonic_now();
  const auto connector =
      start({dead.address(), local_of(server)}, quick(milliseconds(5000), milliseconds(-1)));
  finish();
  EXPECT_TRUE(outcome.socket);
  EXPECT_GE(outcome.at - begin, milliseconds(10));
}

TEST_P(ConnectorTest, NoMoreEndsWhatHasFailed) {
  const auto connector = get(Connector::grow(loop, quick(), outcome.callback()));
  const Address closed = closed_tcp_port();
  connector->add(std::span(&closed, 1));
  ASSERT_TRUE(run_bounded(
      loop, [&] { return !connector->attempts().empty() && connector->attempts()[0].error; }));
  connector->no_more();
  EXPECT_EQ(outcome.calls, 0);
  finish();
  EXPECT_EQ(outcome.error, refused());
}

TEST_P(ConnectorTest, TheDeadlineIsAlsoForAddressesThatNeverCome) {
  const auto connector = get(Connector::grow(loop, quick(milliseconds(20)), outcome.callback()));
  finish();
  EXPECT_EQ(outcome.error, Errc::timed_out);
}

class ConnectorUnixTest : public ConnectorTest {
 protected:
  [[nodiscard]] Address path() const { return folder_.socket(); }

 private:
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Backends, ConnectorUnixTest, every_backend(), BackendName());

TEST_P(ConnectorUnixTest, ConnectsToAPath) {
  const Socket server = listen_on(path());
  const auto connector = start({path()});
  finish();
  EXPECT_TRUE(outcome.socket) << outcome.error.message();
  EXPECT_TRUE(get(Socket::accept(server.fd())));
}

TEST_P(ConnectorUnixTest, WhatKeepsAPathFromBeingReachedIsTold) {
  const auto connector = start({path()});
  finish();
  EXPECT_EQ(outcome.error, std::errc::no_such_file_or_directory);
  { const Socket dead = listen_on(path()); }
  outcome = {};
  const auto second = start({path()});
  finish();
  EXPECT_EQ(outcome.error, std::errc::connection_refused);
}

#if defined(__linux__)

TEST_P(ConnectorUnixTest, ConnectsToAnAbstractName) {
  const std::string name = "reactor-connector-" + std::to_string(::getpid());
  const Address address = get(Address::unix_abstract(name));
  const Socket server = listen_on(address);
  const auto connector = start({address});
  finish();
  EXPECT_TRUE(outcome.socket) << outcome.error.message();
}

// If the backlog of a unix socket is full, connect(2) fails with EAGAIN, which is no reason to give
// up.
TEST_P(ConnectorUnixTest, AFullBacklogIsAskedAgain) {
  Blackhole full(path());
  const auto connector = start({path()});
  run_for(loop, Connector::kRetryDelay * 3);
  EXPECT_EQ(outcome.calls, 0);
  EXPECT_FALSE(connector->attempts()[0].error);
  full.take_one();
  finish();
  EXPECT_TRUE(outcome.socket) << outcome.error.message();
  EXPECT_EQ(connector->attempts().size(), 1U);
}

TEST_P(ConnectorUnixTest, AFullBacklogEndsAtTheDeadline) {
  const Blackhole full(path());
  const auto connector = start({path(), path()}, quick(milliseconds(25)));
  finish();
  EXPECT_EQ(outcome.error, Errc::timed_out);
  EXPECT_FALSE(connector->attempts().empty());
  for (const auto& attempt : connector->attempts()) EXPECT_EQ(attempt.error, Errc::timed_out);
}

TEST_P(ConnectorUnixTest, AServerThatGoesWhileItsBacklogIsFullIsNoticed) {
  std::optional<Blackhole> full(path());
  auto connector = start({path(), path()});
  ASSERT_TRUE(run_bounded(loop, [&] { return connector->attempts().size() == 2; }));
  full.reset();
  finish();
  EXPECT_EQ(outcome.error, std::errc::connection_refused);
  EXPECT_EQ(connector->attempts()[0].error, std::errc::connection_refused);
  EXPECT_EQ(connector->attempts()[1].error, std::errc::connection_refused);
}

TEST_P(ConnectorUnixTest, DestroyingItEndsTheAsking) {
  const Blackhole full(path());
  auto connector = start({path()});
  run_for(loop, Connector::kRetryDelay * 2);
  connector.reset();
  ASSERT_TRUE(run_to_end(loop));
  EXPECT_EQ(outcome.calls, 0);
}

#endif

}  // namespace
}  // namespace reactor
