// SPDX-License-Identifier: MIT
// prefork::run() with workers that the tests define.
#include <sys/wait.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tests/prefork/prefork_test.h"
#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace reactor::prefork {
namespace {

class RunFork : public PreforkTest {};

int just_run(Worker& worker, const Lines&) { return worker.run(); }

TEST_P(RunFork, AnnouncesAddressesThenReady) {
  Options both = options(3);
  both.addresses.push_back(Address::parse("127.0.0.2:0").value());
  Running master(std::move(both), &just_run);
  EXPECT_EQ(master.lines.next().rfind("listening 127.0.0.1:", 0), 0U);
  EXPECT_EQ(master.lines.next().rfind("listening 127.0.0.2:", 0), 0U);
  static_cast<void>(master.lines.after("ready"));
  master.signal(SIGTERM);
  EXPECT_EQ(master.lines.after("returned "), "0");
  EXPECT_EQ(master.wait(), 0);
}

TEST_P(RunFork, EachWorkerHasItsIndexAndOneListenerPerAddress) {
  Options both = options(3);
  both.addresses.push_back(Address::parse("127.0.0.2:0").value());
  Running master(std::move(both), [](Worker& worker, const Lines& lines) {
    const std::vector<Socket> listeners = worker.listeners();
    lines.say("worker " + std::to_string(worker.index()) + " has " +
              std::to_string(listeners.size()) + " on backend " +
              std::string(to_string(worker.loop().backend())));
    return worker.run();
  });
  std::set<std::string> said;
  for (int i = 0; i < 3; ++i) said.insert(master.lines.after("worker "));
  const std::string end = " has 2 on backend " + std::string(to_string(GetParam()));
  EXPECT_EQ(said, (std::set<std::string>{"0" + end, "1" + end, "2" + end}));
}

TEST_P(RunFork, NoWorkerBecomesReady) {
  for (const bool throws : {false, true}) {
    Running master(options(2), [throws](Worker&, const Lines&) -> int {
      if (throws) throw std::runtime_error("no database");
      return 5;
    });
    if (throws) {
      EXPECT_EQ(master.lines.after("log worker ends by an exception: "), "no database");
    }
    EXPECT_EQ(master.wait(), kExitNotReady);
  }
}

TEST_P(RunFork, AnAddressInUse) {
  const Socket other = Socket::listen(Address::loopback(0), {}).value();
  for (const unsigned workers : {0U, 2U}) {
    Options taken = options(workers);
    taken.addresses = {other.local().value()};
    Running master(std::move(taken), &just_run);
    EXPECT_EQ(master.lines.after("bind-error "), other.local().value().to_string());
    EXPECT_EQ(master.wait(), kExitNoListener);
  }
}

TEST_P(RunFork, AnExceptionEndsTheWorkerAndItsSuccessorTakesTheSlot) {
  Running master(options(2), [](Worker& worker, const Lines& lines) {
    SignalWatcher bomb =
        worker.loop().on_signal(SIGUSR2, [] { throw std::runtime_error("bug"); }).value();
    lines.say("pid " + std::to_string(::getpid()) + " slot " + std::to_string(worker.index()));
    return worker.run();
  });
  const std::string first = master.lines.after("pid ");
  static_cast<void>(master.lines.after("ready"));
  ASSERT_EQ(::kill(std::stoi(first), SIGUSR2), 0);
  EXPECT_EQ(master.lines.after("log worker ends by an exception: "), "bug");
  const std::string second = master.lines.after("pid ");
  EXPECT_EQ(second.substr(second.find(' ')), first.substr(first.find(' ')));
  master.signal(SIGTERM);
  EXPECT_EQ(master.wait(), 0);
}

TEST_P(RunFork, OneProcess) {
  Running alone(options(0), [](Worker& worker, const Lines& lines) {
    lines.say("pid " + std::to_string(::getpid()));
    worker.on_drain([&worker, &lines] {
      lines.say("drain");
      worker.loop().stop();
    });
    return worker.run();
  });
  static_cast<void>(alone.lines.after("pid "));
  static_cast<void>(alone.lines.after("ready"));
  alone.signal(SIGHUP);
  EXPECT_NE(alone.lines.after("log signal ").find("ignored"), std::string::npos);
  alone.signal(SIGINT);
  EXPECT_EQ(alone.lines.after("drain"), "");
  EXPECT_EQ(alone.wait(), kExitOk);
}

// If a drain leaves nothing to wait for, the loop ends without stop().
TEST_P(RunFork, TheLoopEndsWhenADrainHasLeftNothing) {
  for (const unsigned workers : {0U, 2U}) {
    Running master(options(workers), [](Worker& worker, const Lines& lines) {
      Timer busy = worker.loop().every(std::chrono::hours(1), [] {});
      worker.on_drain([&] {
        lines.say("drain");
        busy.stop();
      });
      return worker.run();
    });
    static_cast<void>(master.lines.after("ready"));
    master.signal(SIGTERM);
    static_cast<void>(master.lines.after("drain"));
    EXPECT_EQ(master.wait(), kExitOk);
  }
}

TEST_P(RunFork, AnExceptionInOneProcess) {
  Running alone(options(0), [](Worker&, const Lines&) -> int { throw std::runtime_error("bug"); });
  EXPECT_EQ(alone.lines.after("log worker ends by an exception: "), "bug");
  EXPECT_EQ(alone.wait(), kExitFailed);
}

TEST_P(RunFork, WorkersReopenTheirLogsToo) {
  Running master(options(2), &just_run);
  static_cast<void>(master.lines.after("ready"));
  master.signal(SIGUSR1);
  std::set<std::string> pids;
  for (int i = 0; i < 3; ++i) pids.insert(master.lines.after("reopen "));
  EXPECT_EQ(pids.size(), 3U);
}

TEST_P(RunFork, ATermRightBehindTheForkIsHeard) {
  for (int i = 0; i < 40; ++i) {
    Options many = options(4);
    Running master(std::move(many), &just_run);
    static_cast<void>(master.lines.after("listening "));
    const TimePoint begin = monotonic_now();
    master.signal(SIGTERM);
    const int code = master.wait();
    // The signal may come before or after the process handles signals.
    EXPECT_TRUE(code == kExitOk || code == 128 + SIGTERM) << code;
    EXPECT_LT(monotonic_now() - begin, kLimit / 2);
  }
}

// A process that knows the address may send signals before anything is forked. A SIGCONT discards a
// pending SIGTTIN (kill(2) of POSIX), so tests/stutter makes this test fail.
TEST_P(RunFork, SignalsAreKeptFromTheFirstListeningOn) {
  for (const unsigned workers : {0U, 2U}) {
    Options first = options(workers);
    first.on_listening = [](const Endpoint&) {
      for (const int number : {SIGHUP, SIGUSR1, SIGTTIN}) ::raise(number);
    };
    Running master(std::move(first), &just_run);
    std::set<std::string> unheard = {"reopen ", "log reload: ", "log 3 workers "};
    if (workers == 0) unheard = {"reopen ", "log signal 1 ", "log signal 21 "};
    std::string all;
    for (std::string line = "begin"; !line.empty() && !unheard.empty();) {
      line = master.lines.next();
      all += line + "\n";
      std::erase_if(unheard, [&](const std::string& begin) { return line.starts_with(begin); });
    }
    EXPECT_TRUE(unheard.empty()) << *unheard.begin() << " is not in:\n" << all;
    master.signal(SIGTERM);
    EXPECT_EQ(master.wait(), 0);
  }
}

TEST_P(RunFork, ATermBeforeTheFirstForkEndsItGracefully) {
  for (const unsigned workers : {0U, 2U}) {
    Options first = options(workers);
    first.on_listening = [](const Endpoint&) { ::raise(SIGTERM); };
    Running master(std::move(first), &just_run);
    EXPECT_EQ(master.lines.after("returned "), "0");
    EXPECT_EQ(master.wait(), 0);
  }
}

TEST_P(RunFork, TheApplicationsOwnChildrenAreLeftToIt) {
  const int code = in_child([this] {
    const pid_t master = ::getpid();
    pid_t own = 0;
    Options one = options(1);
    one.on_ready = [&own] {
      own = spawn_child([] { return 7; });
      ::kill(::getpid(), SIGUSR1);
    };
    one.on_reopen = [master, &own] {
      if (::getpid() != master) return;
      siginfo_t info{};
      EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(own), &info, WEXITED | WNOWAIT), 0);
      ::kill(master, SIGTERM);  // causes another turn, with a SIGCHLD to look into
    };
    EXPECT_EQ(run(std::move(one), [](Worker& worker) { return worker.run(); }), kExitOk);
    EXPECT_EQ(wait_for_child(own), 7);
  });
  EXPECT_EQ(code, 0);
}

// The workers notice by the control pipe alone, because not every kernel has PR_SET_PDEATHSIG.
TEST_P(RunFork, WorkersEndWithTheMaster) {
  Running master(options(2), [](Worker& worker, const Lines& lines) {
#if defined(__linux__)
    ::prctl(PR_SET_PDEATHSIG, 0);
#endif
    lines.say("pid " + std::to_string(::getpid()));
    const int code = worker.run();
    lines.say("ended " + std::to_string(::getpid()));
    return code;
  });
  std::set<std::string> started{master.lines.after("pid "), master.lines.after("pid ")};
  static_cast<void>(master.lines.after("ready"));
  master.signal(SIGKILL);
  std::set<std::string> ended{master.lines.after("ended "), master.lines.after("ended ")};
  EXPECT_EQ(ended, started);
}

TEST_P(RunFork, LeavesNothingBehind) {
  for (const unsigned workers : {0U, 2U}) {
    const int code = in_child([this, workers] {
      const auto before = FdGuard::open_descriptors();
      Options few = options(workers);
      few.on_ready = [] { ::kill(::getpid(), SIGTERM); };
      EXPECT_EQ(run(std::move(few), [](Worker& worker) { return worker.run(); }), kExitOk);
      EXPECT_EQ(FdGuard::open_descriptors(), before);
      EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie or a worker";
      struct sigaction action {};
      ::sigaction(SIGTERM, nullptr, &action);
      EXPECT_EQ(action.sa_handler, SIG_DFL);
    });
    EXPECT_EQ(code, 0) << workers << " workers";
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RunFork, ::testing::ValuesIn(available_backends()),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace reactor::prefork
