// SPDX-License-Identifier: MIT
#include "reactor/dns/resolver.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/name_server.h"

namespace reactor::dns {
namespace {

using std::chrono::milliseconds;

Address address(const std::string& text) { return get(Address::parse(text)); }

// Records the result that a callback gets.
struct Outcome {
  Resolver::Done callback() {
    return [this](Result<std::vector<Address>> result) {
      ++calls;
      error = result.error();
      if (result) addresses = std::move(*result);
    };
  }

  int calls = 0;
  std::error_code error;
  std::vector<Address> addresses;
};

class ResolverTest : public LoopTest {
 protected:
  ResolverOptions settings() const {
    ResolverOptions options;
    options.servers = {server.address()};
    options.try_timeout = milliseconds(2000);
    options.configuration = "/dev/null";  // keeps the machine's own configuration out of the tests
    return options;
  }
  void configure(const ResolverOptions& options) {
    resolver = get(Resolver::create(loop, options));
  }
  // Asks each question at most twice, and waits `try_timeout` for each answer.
  void ask_twice(Duration try_timeout) {
    ResolverOptions options = settings();
    options.try_timeout = try_timeout;
    options.tries = 2;
    configure(options);
  }
  void SetUp() override { configure(settings()); }

  // Asks, and runs the loop until the answer has come.
  Outcome ask(std::string_view host, Family family = Family::any, std::uint16_t port = 80) {
    Outcome outcome;
    const Query query = resolver->resolve(host, port, family, outcome.callback());
    EXPECT_TRUE(query.pending());
    EXPECT_EQ(outcome.calls, 0) << "never from inside resolve()";
    EXPECT_TRUE(run_bounded(loop, [&] { return outcome.calls > 0; }));
    EXPECT_FALSE(query.pending());
    EXPECT_TRUE(loop.poll() && loop.poll());
    EXPECT_EQ(outcome.calls, 1);
    return outcome;
  }
  // Whether run() has nothing left to wait for.
  bool idle() {
    const TimePoint begin = monotonic_now();
    return run_to_end(loop) && monotonic_now() - begin < milliseconds(1000);
  }

  Loop loop{options()};
  NameServer server{loop};
  std::unique_ptr<Resolver> resolver;
};

INSTANTIATE_TEST_SUITE_P(Backends, ResolverTest, every_backend(), BackendName());

using Strings = std::vector<std::string>;

TEST_P(ResolverTest, GivesTheAddressesWithThePort) {
  server.table["host.test"].addresses = {address("192.0.2.1:0"), address("192.0.2.2:0")};
  Outcome outcome = ask("host.test", Family::v4, 8080);
  EXPECT_FALSE(outcome.error) << outcome.error.message();
  Strings found;
  for (const Address& one : outcome.addresses) found.push_back(one.to_string());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (Strings{"192.0.2.1:8080", "192.0.2.2:8080"}));
  EXPECT_EQ(server.asked, Strings{"A host.test"});
  EXPECT_TRUE(idle());
}

TEST_P(ResolverTest, AsksForTheFamilyWanted) {
  server.table["host.test"].addresses = {address("192.0.2.1:0"), address("[2001:db8::1]:0")};
  const Outcome v6 = ask("host.test", Family::v6);
  EXPECT_EQ(v6.addresses, std::vector{address("[2001:db8::1]:80")});
  EXPECT_EQ(server.asked, Strings{"AAAA host.test"});
  const Outcome both = ask("host.test", Family::any);
  EXPECT_EQ(both.addresses.size(), 2U);
  EXPECT_EQ(server.asked.size(), 3U);
}

TEST_P(ResolverTest, NumericAddressesAskNobody) {
  EXPECT_EQ(ask("127.0.0.1", Family::any, 9).addresses, std::vector{address("127.0.0.1:9")});
  EXPECT_EQ(ask("::1", Family::any, 9).addresses, std::vector{address("[::1]:9")});
  EXPECT_EQ(ask("::1", Family::v6).addresses, std::vector{address("[::1]:80")});
  EXPECT_EQ(ask("::1", Family::v4).error, Errc::no_data);
  EXPECT_EQ(ask("127.0.0.1", Family::v6).error, Errc::no_data);
  EXPECT_EQ(server.asked, Strings{});
}

// RFC 6761 section 6.3, RFC 4343.
TEST_P(ResolverTest, LocalhostAsksNobodyHoweverItIsWritten) {
  for (const bool hosts_file : {true, false}) {
    ResolverOptions options = settings();
    options.hosts_file = hosts_file;
    configure(options);
    for (const char* name :
         {"localhost", "localhost.", "LOCALHOST", "a.localhost", "a.B.LocalHost."}) {
      EXPECT_EQ(ask(name, Family::v4).addresses, std::vector{address("127.0.0.1:80")}) << name;
      EXPECT_EQ(ask(name, Family::v6).addresses, std::vector{address("[::1]:80")}) << name;
      EXPECT_EQ(ask(name).addresses.size(), 2U) << name;
    }
  }
  EXPECT_EQ(server.asked, Strings{});
  server.table["localhost.test"].addresses = {address("192.0.2.1:0")};
  EXPECT_EQ(ask("localhost.test", Family::v4).addresses, std::vector{address("192.0.2.1:80")});
}

TEST_P(ResolverTest, NamesOfTheHostsFileAskNobody) {
  const Outcome outcome = ask("localhost", Family::v4);
  EXPECT_EQ(outcome.addresses, std::vector{address("127.0.0.1:80")});
  std::ifstream hosts("/etc/hosts");
  for (std::string line, number, name; std::getline(hosts, line);) {
    std::istringstream fields(line.substr(0, line.find('#')));
    const bool usable = fields >> number >> name && number.find(':') == std::string::npos;
    if (!usable || name == "localhost") continue;
    const Outcome listed = ask(name, Family::v4);
    const Address expected = address(number + ":80");
    EXPECT_NE(std::count(listed.addresses.begin(), listed.addresses.end(), expected), 0) << name;
  }
  EXPECT_EQ(server.asked, Strings{});
}

TEST_P(ResolverTest, ErrorsSayWhy) {
  server.table["empty.test"] = {};
  server.table["fails.test"].code = 2;
  server.table["refuses.test"].code = 5;
  EXPECT_EQ(ask("nobody.test").error, Errc::not_found);
  EXPECT_EQ(ask("nobody.test", Family::v6).error, Errc::not_found);
  EXPECT_EQ(ask("empty.test").error, Errc::no_data);
  EXPECT_EQ(ask("empty.test", Family::v4).error, Errc::no_data);
  EXPECT_EQ(ask("fails.test", Family::v4).error, Errc::server_failure);
  EXPECT_EQ(ask("refuses.test", Family::v4).error, Errc::server_failure);
  EXPECT_EQ(std::string(category().name()), "dns");
  EXPECT_EQ(make_error_code(Errc::not_found).message(), "host not found");
}

TEST_P(ResolverTest, WhatIsNoNameIsNotAsked) {
  using namespace std::string_view_literals;
  const std::string label(64, 'a');
  const std::string name = label + "." + label + "." + label + "." + label + ".test";
  for (const std::string_view host :
       {""sv, "host\0.test"sv, "a..test"sv, std::string_view(name), std::string_view(label)}) {
    EXPECT_EQ(ask(host, Family::v4).error, Errc::bad_name) << host;
  }
  EXPECT_EQ(server.asked, Strings{});
}

TEST_P(ResolverTest, BrokenAnswersAreAnError) {
  NameServer::Entry entry;
  entry.addresses = {address("192.0.2.1:0")};
  entry.mood = NameServer::Mood::babbles;
  server.table["babbles.test"] = entry;
  EXPECT_EQ(ask("babbles.test", Family::v4).error, Errc::bad_answer);
  entry.mood = NameServer::Mood::misleads;
  server.table["misleads.test"] = entry;
  ask_twice(milliseconds(20));
  EXPECT_EQ(ask("misleads.test", Family::v4).error, Errc::timed_out) << "it answers another";
}

TEST_P(ResolverTest, ALongAnswerComesByTcp) {
  NameServer::Entry& entry = server.table["long.test"];
  entry.mood = NameServer::Mood::truncates;
  for (int i = 1; i <= 100; ++i)
    entry.addresses.push_back(address("192.0.2." + std::to_string(i) + ":0"));
  const Outcome outcome = ask("long.test", Family::v4);
  EXPECT_FALSE(outcome.error) << outcome.error.message();
  EXPECT_EQ(outcome.addresses.size(), 100U);
  EXPECT_EQ(server.asked, (Strings{"A long.test", "A long.test tcp"}));
  EXPECT_TRUE(idle());
}

TEST_P(ResolverTest, AServerThatHangsUpIsSurvived) {
  ask_twice(milliseconds(50));
  server.table["gone.test"].mood = NameServer::Mood::hangs_up;
  const Outcome outcome = ask("gone.test", Family::v4);
  EXPECT_TRUE(outcome.error);
  EXPECT_TRUE(idle());
}

TEST_P(ResolverTest, ASilentServerDelaysNothingElse) {
  ask_twice(milliseconds(60));
  server.table["silent.test"].mood = NameServer::Mood::silent;
  EXPECT_TRUE(once_undisturbed([&] {
    server.asked.clear();
    int ticks = 0;
    const Timer timer = loop.every(milliseconds(1), [&] { ++ticks; });
    const TimePoint begin = monotonic_now();
    const Outcome outcome = ask("silent.test", Family::v4);
    const Duration time = monotonic_now() - begin;
    EXPECT_EQ(outcome.error, Errc::timed_out);
    EXPECT_EQ(outcome.error, std::errc::timed_out);
    EXPECT_GE(time, milliseconds(60));
    EXPECT_LT(time, kLimit / 2);
    EXPECT_GE(server.asked.size(), 2U);
    return ticks >= 20;
  })) << "the timer waits for the server";
}

TEST_P(ResolverTest, TheNextServerIsAskedWhenOneIsSilent) {
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  ResolverOptions options = settings();
  options.try_timeout = milliseconds(30);
  // This holds only if the server that answers is not delayed, either.
  EXPECT_TRUE(once_undisturbed([&] {
    NameServer silent(loop);
    silent.table["host.test"].mood = NameServer::Mood::silent;
    options.servers = {silent.address(), server.address()};
    configure(options);
    const bool answered = ask("host.test", Family::v4).addresses.size() == 1;
    return answered && silent.asked.size() == 1;
  }));
}

TEST_P(ResolverTest, AServerThatIsNotThereIsTold) {
  ResolverOptions options = settings();
  Socket unused = get(Socket::open(AF_INET, SOCK_DGRAM));
  const Address any = Address::loopback(0);
  ASSERT_EQ(::bind(unused.fd(), any.data(), any.size()), 0);
  options.servers = {get(unused.local())};
  unused = Socket();
  options.tries = 1;
  configure(options);
  EXPECT_EQ(ask("host.test", Family::v4).error, Errc::server_failure);
}

TEST_P(ResolverTest, AServersAddressMustBeOneOfTheInternet) {
  ResolverOptions options;
  options.servers = {get(Address::unix_path("/tmp/socket"))};
  EXPECT_EQ(Resolver::create(loop, options).error(), Errc::bad_options);
  ResolverOptions cut;
  cut.configuration = std::string("/dev/null\0x", 11);
  EXPECT_EQ(Resolver::create(loop, cut).error(), Errc::bad_options);
}

TEST_P(ResolverTest, AnAnswerThatNobodyWantsIsDropped) {
  const Query query = resolver->resolve("host.test", 80, Family::v4, {});
  ASSERT_TRUE(run_to_end(loop));
  EXPECT_FALSE(query.pending());
}

TEST_P(ResolverTest, ManyQuestionsAtOnce) {
  constexpr int kCount = 200;
  std::vector<Outcome> outcomes(kCount);
  std::vector<Query> queries;
  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string host = "host" + std::to_string(i) + ".test";
    server.table[host].addresses = {address("192.0.2." + std::to_string(i) + ":0")};
    queries.push_back(resolver->resolve(host, 80, Family::v4, outcomes[i].callback()));
  }
  ASSERT_TRUE(run_to_end(loop));
  for (std::size_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(outcomes[i].addresses, std::vector{address("192.0.2." + std::to_string(i) + ":80")});
  }
}

TEST_P(ResolverTest, DestroyingTheQueryCancels) {
  server.table["silent.test"].mood = NameServer::Mood::silent;
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  for (const char* const host : {"silent.test", "host.test", "localhost", "127.0.0.1", ""}) {
    for (int turns = 0; turns < 3; ++turns) {
      Outcome outcome;
      Query query = resolver->resolve(host, 80, Family::any, outcome.callback());
      for (int i = 0; i < turns; ++i) ASSERT_TRUE(loop.poll());
      const int calls = outcome.calls;
      query = Query();
      EXPECT_TRUE(idle()) << "an abandoned question keeps the loop waiting";
      EXPECT_EQ(outcome.calls, calls);
    }
  }
}

TEST_P(ResolverTest, CancellingOneLeavesTheOthers) {
  server.table["silent.test"].mood = NameServer::Mood::silent;
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  server.table["host.test"].v4_delay = milliseconds(20);
  Outcome cancelled, other;
  Query first = resolver->resolve("silent.test", 80, Family::v4, cancelled.callback());
  Query second = resolver->resolve("host.test", 80, Family::v4, other.callback());
  ASSERT_TRUE(loop.poll() && loop.poll());
  first = Query();
  ASSERT_TRUE(run_bounded(loop, [&] { return other.calls > 0; }));
  EXPECT_EQ(other.addresses.size(), 1U);
  EXPECT_EQ(cancelled.calls, 0);
}

TEST_P(ResolverTest, DestroyingTheResolverEndsAllQuestions) {
  server.table["silent.test"].mood = NameServer::Mood::silent;
  Outcome silent, local;
  const Query first = resolver->resolve("silent.test", 80, Family::v4, silent.callback());
  ASSERT_TRUE(loop.poll());
  resolver.reset();
  EXPECT_FALSE(first.pending());
  EXPECT_TRUE(idle());
  EXPECT_EQ(silent.calls, 0);
}

TEST_P(ResolverTest, TheCallbackMayDestroyQueryAndResolver) {
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  for (const char* const host : {"host.test", "nobody.test", "127.0.0.1"}) {
    configure(settings());
    Query query, other;
    Outcome never;
    std::string alive = "a capture that outlives the query, too long to be held in place";
    bool called = false;
    other = resolver->resolve("silent.test", 80, Family::v4, never.callback());
    server.table["silent.test"].mood = NameServer::Mood::silent;
    query = resolver->resolve(host, 80, Family::v4, [&, alive](Result<std::vector<Address>>) {
      query = Query();
      resolver.reset();
      called = !alive.empty();
    });
    ASSERT_TRUE(run_bounded(loop, [&] { return called; }));
    EXPECT_TRUE(idle());
    EXPECT_EQ(never.calls, 0);
  }
}

TEST_P(ResolverTest, ACallbackMayOwnTheResolver) {
  server.table["silent.test"].mood = NameServer::Mood::silent;
  Resolver* const raw = resolver.get();
  Query query = raw->resolve("silent.test", 80, Family::v4,
                             [owned = std::move(resolver)](Result<std::vector<Address>>) {});
  ASSERT_TRUE(loop.poll());
  query = Query();
  EXPECT_TRUE(idle());
}

TEST_P(ResolverTest, ACallbackMayAskAgain) {
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  Outcome second;
  Query query, next;
  query = resolver->resolve("nobody.test", 80, Family::v4, [&](Result<std::vector<Address>>) {
    next = resolver->resolve("host.test", 80, Family::v4, second.callback());
  });
  ASSERT_TRUE(run_to_end(loop));
  EXPECT_EQ(second.addresses.size(), 1U);
}

TEST_P(ResolverTest, G6AnExceptionLeavesRunAndTheOthersAreCalledAfterwards) {
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  Outcome other;
  const Query first =
      resolver->resolve("host.test", 80, Family::v4,
                        [](Result<std::vector<Address>>) { throw std::runtime_error("mine"); });
  const Query second = resolver->resolve("host.test", 80, Family::v4, other.callback());
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), std::runtime_error);
  ASSERT_TRUE(run_to_end(loop));
  EXPECT_EQ(other.addresses.size(), 1U);
}

TEST_P(ResolverTest, G9AForkedChildOnlyCloses) {
  server.table["host.test"].addresses = {address("192.0.2.1:0")};
  Outcome outcome;
  Query query = resolver->resolve("host.test", 80, Family::v4, outcome.callback());
  EXPECT_EQ(in_child([&] {
              EXPECT_EQ(Resolver::create(loop).error(), reactor::Errc::wrong_process);
              query = Query();
              resolver.reset();
            }),
            0);
  ASSERT_TRUE(run_bounded(loop, [&] { return outcome.calls > 0; }));
  EXPECT_EQ(outcome.addresses.size(), 1U) << "the parent's went on";
}

}  // namespace
}  // namespace reactor::dns
