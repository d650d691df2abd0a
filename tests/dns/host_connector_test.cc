// SPDX-License-Identifier: MIT
#include "reactor/dns/host_connector.h"

#include <string>
#include <vector>

#include "tests/support/loop_test.h"
#include "tests/support/name_server.h"

namespace reactor::dns {
namespace {

using std::chrono::milliseconds;
using Strings = std::vector<std::string>;

class HostConnectorTest : public LoopTest {
 protected:
  HostConnectorTest() {
    ResolverOptions options;
    options.servers = {names.address()};
    options.configuration = "/dev/null";
    resolver = get(Resolver::create(loop, options));
    connecting.timeout = milliseconds(5000);
    entry().addresses = {Address::loopback(0)};
  }
  NameServer::Entry& entry() { return names.table["host.test"]; }

  std::unique_ptr<HostConnector> start(const char* host = "host.test") {
    calls = 0;
    begin = monotonic_now();
    return get(HostConnector::connect(*resolver, host, target.local().value().port(), connecting,
                                      [this](Result<Socket> result) {
                                        ++calls;
                                        error = result.error();
                                        socket = result ? std::move(*result) : Socket();
                                        time = monotonic_now() - begin;
                                      }));
  }
  // Runs the loop until the callback has been called and nothing is left.
  void finish() {
    EXPECT_EQ(calls, 0) << "never from inside connect()";
    ASSERT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
    ASSERT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, 1);
  }
  bool listen_v6() {
    Result<Socket> v6 = Socket::listen(get(Address::parse("[::1]:0")), {});
    if (!v6) return false;
    target = std::move(*v6);
    entry().addresses = {Address::loopback(0), get(Address::parse("[::1]:0"))};
    return true;
  }

  Loop loop{options()};
  NameServer names{loop};
  std::unique_ptr<Resolver> resolver;
  Socket target = get(Socket::listen(Address::loopback(0), {}));
  ConnectOptions connecting;
  int calls = 0;
  std::error_code error;
  Socket socket;
  TimePoint begin;
  Duration time{0};
};

INSTANTIATE_TEST_SUITE_P(Backends, HostConnectorTest, every_backend(), BackendName());

TEST_P(HostConnectorTest, ConnectsByName) {
  const auto connector = start();
  finish();
  ASSERT_TRUE(socket) << error.message();
  EXPECT_EQ(get(socket.peer()), get(target.local()));
  EXPECT_EQ(connector->attempts().size(), 1U);
  EXPECT_EQ(names.asked, (Strings{"AAAA host.test", "A host.test"}));
}

TEST_P(HostConnectorTest, NumbersNeedNoServer) {
  const auto connector = start("127.0.0.1");
  finish();
  EXPECT_TRUE(socket) << error.message();
  EXPECT_EQ(names.asked, Strings{});
}

TEST_P(HostConnectorTest, V6ComesFirst) {
  if (!listen_v6()) GTEST_SKIP();
  entry().v6_delay = milliseconds(10);
  // The two answers must come within 50 ms of each other, which a busy machine may prevent.
  EXPECT_TRUE(once_undisturbed([&] {
    const auto connector = start();
    finish();
    EXPECT_TRUE(socket) << error.message();
    return socket && get(socket.peer()).family() == AF_INET6 && connector->attempts().size() == 1;
  })) << "v4 does not wait for v6";
}

TEST_P(HostConnectorTest, V4WaitsOnlySoLongForV6) {
  entry().mood = NameServer::Mood::is_mute_v6;
  const auto connector = start();
  finish();
  ASSERT_TRUE(socket) << error.message();
  EXPECT_GE(time, HostConnector::kResolutionDelay);
  EXPECT_LT(time, milliseconds(1500)) << "that question takes much longer";
}

TEST_P(HostConnectorTest, NothingIsLeftOfAnAttemptThatTakesTooLong) {
  entry().mood = NameServer::Mood::is_mute_v6;
  connecting.timeout = milliseconds(20);  // while v4 waits
  const auto connector = start();
  ASSERT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
  EXPECT_EQ(error, std::errc::timed_out);
  EXPECT_EQ(loop.keeping(), 0U) << "no timer either";
}

TEST_P(HostConnectorTest, V6DoesNotWait) {
  if (!listen_v6()) GTEST_SKIP();
  entry().v4_delay = milliseconds(4000);
  const auto connector = start();
  finish();
  ASSERT_TRUE(socket) << error.message();
  EXPECT_LT(time, milliseconds(2000));
}

TEST_P(HostConnectorTest, AnAnswerThatComesLaterIsTriedToo) {
  entry().addresses = {Address::loopback(0), get(Address::parse("[::1]:0"))};
  entry().v4_delay = milliseconds(20);
  const auto connector = start();  // nothing listens on the v6 address
  finish();
  ASSERT_TRUE(socket) << error.message();
  EXPECT_EQ(get(socket.peer()).family(), AF_INET);
  ASSERT_EQ(connector->attempts().size(), 2U);
  EXPECT_TRUE(connector->attempts()[0].error);
}

TEST_P(HostConnectorTest, ErrorsOfTheNameAreTold) {
  auto connector = start("nobody.test");
  finish();
  EXPECT_EQ(error, Errc::not_found);
  EXPECT_TRUE(connector->attempts().empty());
  entry().addresses.clear();
  connector = start();
  finish();
  EXPECT_EQ(error, Errc::no_data);
  connector = start("");
  finish();
  EXPECT_EQ(error, Errc::bad_name);
}

TEST_P(HostConnectorTest, ErrorsOfTheAttemptsAreTold) {
  const Address closed = get(get(Socket::listen(Address::loopback(0), {})).local());
  const auto connector = get(
      HostConnector::connect(*resolver, "host.test", closed.port(), connecting,
                             [this](Result<Socket> result) { ++calls, error = result.error(); }));
  finish();
  EXPECT_EQ(error, on_libkqueue(GetParam()) ? std::errc::connection_aborted
                                            : std::errc::connection_refused);
  ASSERT_EQ(connector->attempts().size(), 1U);
  EXPECT_EQ(connector->attempts()[0].address, closed);
}

TEST_P(HostConnectorTest, TheDeadlineCoversTheQuestions) {
  entry().mood = NameServer::Mood::silent;
  connecting.timeout = milliseconds(30);
  const auto connector = start();
  finish();
  EXPECT_EQ(error, reactor::Errc::timed_out);
  EXPECT_GE(time, milliseconds(30));
}

TEST_P(HostConnectorTest, ALocalAddressAsksForItsFamilyOnly) {
  connecting.local = Address::loopback(0);
  const auto connector = start();
  finish();
  EXPECT_TRUE(socket) << error.message();
  EXPECT_EQ(names.asked, Strings{"A host.test"});
}

TEST_P(HostConnectorTest, DestroyingItCancelsAtEachStage) {
  entry().mood = NameServer::Mood::is_mute_v6;
  for (int turns = 0; turns < 10; ++turns) {
    auto connector = start();
    for (int i = 0; i < turns && calls == 0; ++i) ASSERT_TRUE(loop.run_once(milliseconds(100)));
    const int before = calls;
    connector.reset();
    ASSERT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, before);
  }
}

TEST_P(HostConnectorTest, TheCallbackMayDestroyIt) {
  for (const char* const host : {"host.test", "nobody.test"}) {
    bool called = false;
    std::unique_ptr<HostConnector> connector;
    connector = get(HostConnector::connect(*resolver, host, get(target.local()).port(), connecting,
                                           [&](Result<Socket>) {
                                             connector.reset();
                                             called = true;
                                           }));
    ASSERT_TRUE(run_to_end(loop));
    EXPECT_TRUE(called);
  }
}

}  // namespace
}  // namespace reactor::dns
