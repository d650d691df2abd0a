// SPDX-License-Identifier: MIT
// The master's reaction to workers that hang, and to a generation that does not become ready.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "reactor/net/server.h"
#include "tests/prefork/prefork_test.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Waits for the number of milliseconds that it gets, then echoes the number: "3000" hangs for 3 s.
class Hanging final : public StreamHandler {
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::this_thread::sleep_for(milliseconds(std::stoi(text)));
    stream.write(bytes);
  }
};

int serve_hanging(Worker& worker, const Lines& lines) {
  auto server = Server<Hanging>::adopt(worker.loop(), worker.listeners(), {}).value();
  lines.say("pid " + std::to_string(::getpid()));
  return worker.serve(*server);
}

class Supervision : public PreforkTest {
 protected:
  // Connects to `address` and sends `text`, the time for which the handler hangs.
  static Socket ask(const std::string& address, const std::string& text) {
    Socket socket = Socket::connect(Address::parse(address).value()).value();
    pollfd writable{socket.fd(), POLLOUT, 0};
    EXPECT_EQ(::poll(&writable, 1, 5000), 1);
    EXPECT_EQ(::write(socket.fd(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return socket;
  }
};

TEST_P(Supervision, AStuckWorkerIsNamedWhileItIsStuck) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  UniqueFd report(ends[0]);
  UniqueFd report_in(ends[1]);
  Options slow = options(1);
  slow.timeout = seconds(4);
  slow.report_descriptor = report_in.get();
  Running master(std::move(slow), [](Worker& worker, const Lines& lines) {
    const Timer hangs = worker.loop().after(milliseconds(50), [&lines] {
      std::this_thread::sleep_for(milliseconds(3500));
      lines.say("awake");
    });
    return worker.run();
  });
  static_cast<void>(master.lines.after("ready"));
  const std::string silent = master.lines.after("log worker 0 (pid ");
  EXPECT_NE(silent.find("has been silent for 2"), std::string::npos) << silent;
  std::string text;
  pollfd written{report.get(), POLLIN, 0};
  std::array<char, 4096> buffer;
  while (::poll(&written, 1, text.empty() ? 5000 : 100) == 1) {
    const ssize_t count = ::read(report.get(), buffer.data(), buffer.size());
    ASSERT_GT(count, 0);
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  const TimePoint named = monotonic_now();
  static_cast<void>(master.lines.after("awake"));  // in time, so it was not killed
  EXPECT_GT(monotonic_now() - named, milliseconds(200));
  EXPECT_EQ(text.rfind("worker 0 (pid ", 0), 0U) << text;
  EXPECT_NE(text.find(") is held up by a callback: timer made at "), std::string::npos) << text;
  EXPECT_NE(text.find("supervision_test.cc:"), std::string::npos) << text;
  EXPECT_NE(text.find("; the stack:\n"), std::string::npos) << text;
#if defined(__GLIBC__)
  EXPECT_GT(std::count(text.begin(), text.end(), '\n'), 3) << text;
#endif
  master.signal(SIGTERM);
  EXPECT_EQ(master.wait(), kExitOk);
}

TEST_P(Supervision, AWorkerThatStaysSilentIsAbortedAndReplaced) {
  Options slow = options(1);
  slow.timeout = seconds(1);
  Running master(std::move(slow), &serve_hanging);
  const std::string address = master.lines.after("listening ");
  const std::string first = master.lines.after("pid ");
  static_cast<void>(master.lines.after("ready"));
  const Socket client = ask(address, "60000");
  static_cast<void>(master.lines.after("log worker 0 (pid " + first +
                                       ") has been silent for 1000 ms and is aborted"));
  static_cast<void>(master.lines.after("log worker 0 (pid " + first + ") was killed by signal 6"));
  EXPECT_NE(master.lines.after("pid "), first);
  master.signal(SIGTERM);
  EXPECT_EQ(master.wait(), kExitOk);
}

TEST_P(Supervision, OneThatIsNeverReadyIsAborted) {
  Options slow = options(1);
  slow.timeout = seconds(1);
  Running master(std::move(slow), [](Worker&, const Lines&) {
    std::this_thread::sleep_for(seconds(60));
    return 0;
  });
  EXPECT_NE(master.lines.after("log worker 0 (pid ").find("is not ready for 1000 ms"),
            std::string::npos);
  EXPECT_EQ(master.wait(), kExitNotReady);
}

// The way in which the second generation fails.
struct Failure {
  const char* name;
  int (*serve)(Worker&);
};

TEST_P(Supervision, AGenerationThatComesToNothingIsRolledBack) {
  const Failure failures[] = {
      {"exits", [](Worker&) { return 7; }},
      {"throws", [](Worker&) -> int { throw std::runtime_error("bad configuration"); }},
      {"hangs",
       [](Worker&) {
         std::this_thread::sleep_for(seconds(60));
         return 0;
       }},
  };
  for (const Failure& failure : failures) {
    SCOPED_TRACE(failure.name);
    Options two = options(2);
    two.timeout = seconds(1);
    two.on_reload = [plan = static_cast<Plan>(two), &failure]() -> std::optional<Options::Reload> {
      return Options::Reload{plan, failure.serve};
    };
    Running master(std::move(two), &serve_hanging);
    const std::string address = master.lines.after("listening ");
    std::set<std::string> first{master.lines.after("pid "), master.lines.after("pid ")};
    static_cast<void>(master.lines.after("ready"));
    master.signal(SIGHUP);
    static_cast<void>(master.lines.after("log the new workers do not become ready"));
    // The old workers are still there: one of them answers each of these connections.
    for (int i = 0; i < 20; ++i) {
      const Socket client = ask(address, "0");
      pollfd answered{client.fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&answered, 1, 5000), 1);
    }
    for (const std::string& pid : first) EXPECT_EQ(::kill(std::stoi(pid), 0), 0);
    master.signal(SIGTERM);
    EXPECT_EQ(master.wait(), kExitOk);
  }
}

// The master replaces the workers meanwhile, because they have lost the listener.
TEST_P(Supervision, AGenerationThatMakesTheListenersDeafAndHangsIsRolledBack) {
  Options one = options(1);
  // The kernel gives a port that it chose away while nobody listens there, so this is an address
  // that no other test uses.
  one.addresses = {Address::parse("127.77.0.1:0").value()};
  one.timeout = seconds(2);
  one.on_reload = [plan = static_cast<Plan>(one)]() -> std::optional<Options::Reload> {
    return Options::Reload{plan, [](Worker& worker) {
                             ::shutdown(worker.listeners().at(0).fd(), SHUT_RD);
                             std::this_thread::sleep_for(seconds(60));
                             return 0;
                           }};
  };
  Running master(std::move(one), &serve_hanging);
  const std::string address = master.lines.after("listening ");
  static_cast<void>(master.lines.after("ready"));
  master.signal(SIGHUP);
  static_cast<void>(master.lines.after("log a worker had made 1 listening sockets deaf"));
  static_cast<void>(master.lines.after("log the new workers do not become ready"));
  EXPECT_NE(master.lines.after("log worker 0 (pid ").find("is ready"), std::string::npos);
  const Socket client = ask(address, "0");
  pollfd answered{client.fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&answered, 1, 5000), 1);
  master.signal(SIGTERM);
  EXPECT_EQ(master.wait(), kExitOk);
}

TEST_P(Supervision, ABadConfigurationChangesNothing) {
  Options two = options(2);
  two.on_reload = []() -> std::optional<Options::Reload> {
    REACTOR_LOG(error, "no good");
    return {};
  };
  Running master(std::move(two), &serve_hanging);
  std::set<std::string> first{master.lines.after("pid "), master.lines.after("pid ")};
  static_cast<void>(master.lines.after("ready"));
  master.signal(SIGHUP);
  static_cast<void>(master.lines.after("log no good"));
  for (const std::string& pid : first) EXPECT_EQ(::kill(std::stoi(pid), 0), 0);
  master.signal(SIGTERM);
  EXPECT_EQ(master.wait(), kExitOk);
}

// After a reload that fails, the next one replaces the first generation.
TEST_P(Supervision, TheNextReloadAfterAFailedOneWorks) {
  Options one = options(1);
  int count = 0, adoptions = 0;
  one.on_reload = [plan = static_cast<Plan>(one), &count,
                   &adoptions]() -> std::optional<Options::Reload> {
    const auto on_adopted = [number = ++count, &adoptions] {
      REACTOR_LOG(info, "adopted " + std::to_string(number) + ", " + std::to_string(++adoptions));
    };
    if (count == 1) return Options::Reload{plan, [](Worker&) { return 7; }, on_adopted};
    return Options::Reload{plan, [](Worker& worker) { return worker.run(); }, on_adopted};
  };
  Running master(std::move(one), &serve_hanging);
  static_cast<void>(master.lines.after("ready"));
  master.signal(SIGHUP);
  static_cast<void>(master.lines.after("log the new workers do not become ready"));
  master.signal(SIGHUP);
  EXPECT_NE(master.lines.after("log worker 0 (pid ").find("is ready"), std::string::npos);
  EXPECT_EQ(master.lines.after("log adopted "), "2, 1") << "the first has failed";
  EXPECT_NE(master.lines.after("log worker 0 (pid ").find("exited with 0"), std::string::npos);
  master.signal(SIGTERM);
  EXPECT_EQ(master.wait(), kExitOk);
}

INSTANTIATE_TEST_SUITE_P(Backends, Supervision, ::testing::ValuesIn(available_backends()),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace reactor::prefork
