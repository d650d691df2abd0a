// SPDX-License-Identifier: MIT
// These tests cover the sources that a datagram server answers.
#include "reactor/net/datagram/reflection_guard.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "tests/support/datagram_kit.h"

namespace reactor {
namespace {

using Verdict = ReflectionGuard::Verdict;

constexpr TimePoint kStart{std::chrono::hours(1)};

Address address(const std::string& text) { return get(Address::parse(text)); }

Verdict judge(ReflectionGuard& guard, const std::string& from, TimePoint now = kStart) {
  return guard.judge(address(from), true, now);
}

// Returns how many answers one source gets at once.
unsigned burst(ReflectionGuard& guard, const std::string& from, TimePoint now) {
  unsigned answers = 0;
  while (answers < 100'000 && judge(guard, from, now) == Verdict::answer) ++answers;
  return answers;
}

TEST(ReflectionGuardTest, OwnAddressesAreNotAnswered) {
  ReflectionGuard guard({}, {address("127.0.0.1:5000"), address("[::1]:6000")});
  EXPECT_EQ(judge(guard, "127.0.0.1:5000"), Verdict::own_address);
  EXPECT_EQ(judge(guard, "[::ffff:127.0.0.1]:5000"), Verdict::own_address);
  EXPECT_EQ(judge(guard, "[::1]:6000"), Verdict::own_address);
  EXPECT_EQ(judge(guard, "127.0.0.1:5001"), Verdict::answer);
  EXPECT_EQ(judge(guard, "127.0.0.2:5000"), Verdict::answer);
  EXPECT_EQ(judge(guard, "[::1]:5000"), Verdict::answer);
}

TEST(ReflectionGuardTest, AtAWildcardEachSourceWithThePortIsOwn) {
  for (const char* wildcard : {"0.0.0.0:5000", "[::]:5000"}) {
    ReflectionGuard guard({}, {address(wildcard)});
    EXPECT_EQ(judge(guard, "127.0.0.2:5000"), Verdict::own_address);
    EXPECT_EQ(judge(guard, "[2001:db8::1]:5000"), Verdict::own_address);
    EXPECT_EQ(judge(guard, "127.0.0.2:5001"), Verdict::answer);
  }
}

TEST(ReflectionGuardTest, LowPortsAreAnsweredOnlyOnDemand) {
  ReflectionGuard guard({}, {});
  for (const char* low : {"192.0.2.1:0", "192.0.2.1:7", "[2001:db8::1]:1023"}) {
    EXPECT_EQ(judge(guard, low), Verdict::low_port) << low;
  }
  EXPECT_EQ(judge(guard, "192.0.2.1:1024"), Verdict::answer);
  ReflectionGuard open({.low_ports = true}, {});
  EXPECT_EQ(judge(open, "192.0.2.1:7"), Verdict::answer);
}

TEST(ReflectionGuardTest, OnlyUnicastIsAnswered) {
  ReflectionGuard guard({}, {});
  EXPECT_EQ(guard.judge(address("192.0.2.1:5000"), false, kStart), Verdict::not_unicast);
}

TEST(ReflectionGuardTest, UnixSocketsAreAlwaysAnswered) {
  ReflectionGuard guard({.rate = 1}, {address("unix:/tmp/x")});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(judge(guard, "unix:/tmp/x"), Verdict::answer);
}

TEST(ReflectionGuardTest, ASourceHasARateAndMaySaveUpOneSecond) {
  ReflectionGuard guard({.rate = 100}, {});
  EXPECT_EQ(burst(guard, "192.0.2.1:5000", kStart), 100U);
  EXPECT_EQ(judge(guard, "192.0.2.1:5001"), Verdict::too_fast) << "another port, the same source";
  EXPECT_EQ(burst(guard, "192.0.2.1:5000", kStart + std::chrono::milliseconds(100)), 10U);
  EXPECT_EQ(burst(guard, "192.0.2.1:5000", kStart + std::chrono::hours(1)), 100U);
  EXPECT_EQ(burst(guard, "[2001:db8::1]:5000", kStart), 100U);
  EXPECT_EQ(judge(guard, "[2001:db8::2]:5000"), Verdict::too_fast) << "the same network";
}

// There are so few sources that hardly any two share a cell by chance.
TEST(ReflectionGuardTest, OtherSourcesHaveTheirOwnRate) {
  ReflectionGuard guard({.rate = 1}, {});
  int answers = 0;
  for (int i = 0; i < 20; ++i) {
    if (judge(guard, "192.0.2." + std::to_string(i) + ":5000") == Verdict::answer) ++answers;
  }
  EXPECT_GE(answers, 15);
}

TEST(ReflectionGuardTest, ZeroIsNoLimit) {
  ReflectionGuard guard({.rate = 0}, {});
  EXPECT_EQ(burst(guard, "192.0.2.1:5000", kStart), 100'000U);
}

// ---- The destination of a Message ----

class UnicastTest : public LoopTest {
 protected:
  // Sends a datagram to `to`, and returns the Message's unicast() at a socket that is bound to
  // `local`.
  bool is_unicast(const Address& local, const Address& to) {
    Loop loop(options());
    DatagramRecorder handler;
    bool unicast = false;
    handler.when_datagram = [&](Datagram&, const Message& message) { unicast = message.unicast(); };
    const auto server = get(Datagram::bind(loop, local, handler));
    const DatagramPeer peer(Address::loopback(0));
    const int on = 1;
    ::setsockopt(peer.fd(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
    EXPECT_TRUE(peer.send("x", to.with_port(server->address().port())));
    EXPECT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
    return unicast;
  }
};

INSTANTIATE_TEST_SUITE_P(Backends, UnicastTest, every_backend(), BackendName());

#if defined(IP_PKTINFO)
TEST_P(UnicastTest, TellsABroadcast) {
  const Address broadcast = address("127.255.255.255:0");
  EXPECT_TRUE(is_unicast(Address::loopback(0), Address::loopback(0)));
  EXPECT_TRUE(is_unicast(address("0.0.0.0:0"), address("127.0.0.2:0")));
  EXPECT_FALSE(is_unicast(address("0.0.0.0:0"), broadcast));
  EXPECT_FALSE(is_unicast(broadcast, broadcast)) << "also where it is bound there";
}
#endif

}  // namespace
}  // namespace reactor
