// SPDX-License-Identifier: MIT
// Reports of child exits, by every method that works here.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/rebuild.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class ChildrenTest : public LoopTest {
 protected:
  // Runs `test` with one loop per method. Leaves out methods that the kernel or the backend lacks.
  template <class Test>
  void with_each_method(Test test) {
    int tried = 0;
    for (const ChildMethod method : {ChildMethod::automatic, ChildMethod::pidfd,
                                     ChildMethod::process_filter, ChildMethod::sigchld}) {
      SCOPED_TRACE("method " + std::to_string(static_cast<int>(method)));
      LoopOptions chosen = options();
      chosen.child_method = method;
      Loop loop(std::move(chosen));
      if (!works(loop)) continue;
      ++tried;
      test(loop);
    }
    EXPECT_GE(tried, 2) << "automatic and SIGCHLD work everywhere";
  }

 private:
  static bool works(Loop& loop) {
    const pid_t pid = spawn_child([] { return 0; });
    const std::error_code error = loop.on_exit(pid, [](ExitStatus) {}).error();
    wait_for_child(pid);
    if (error) {
      EXPECT_TRUE(error == Errc::not_supported || error == std::errc::function_not_supported)
          << error.message();
    }
    return !error;
  }
};

TEST_P(ChildrenTest, TheExitCodeIsReportedOnce) {
  with_each_method([](Loop& loop) {
    const pid_t pid = spawn_child([] { return 42; });
    int calls = 0;
    ExitStatus seen;
    ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus status) {
      ++calls;
      seen = status;
    }));
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, 1);
    EXPECT_FALSE(seen.error());
    EXPECT_TRUE(seen.exited());
    EXPECT_EQ(seen.code(), 42);
    EXPECT_FALSE(seen.signaled());
    EXPECT_EQ(seen.signal(), 0);
    EXPECT_FALSE(watcher.active());
    EXPECT_EQ(wait_for_child(pid), -1) << "it was waited for";
  });
}

TEST_P(ChildrenTest, ARebuiltSetStillReportsExits) {
  with_each_method([](Loop& loop) {
    const pid_t pid = spawn_sleeper();
    int calls = 0;
    ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus) { ++calls; }));
    provoke_rebuild(loop);
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, 1);
  });
}

TEST_P(ChildrenTest, TheDispositionOfSigchldComesBackWithTheLastChild) {
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGCHLD, nullptr, &before), 0);
  LoopOptions chosen = options();
  chosen.child_method = ChildMethod::sigchld;
  Loop loop(std::move(chosen));
  const pid_t pid = spawn_sleeper();
  int calls = 0;
  ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus) { ++calls; }));
  struct sigaction now {};
  ASSERT_EQ(::sigaction(SIGCHLD, nullptr, &now), 0);
  EXPECT_NE(now.sa_handler, before.sa_handler);
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(calls, 1);
  ASSERT_EQ(::sigaction(SIGCHLD, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, before.sa_handler) << "the loop lives, and watches no child";
}

TEST_P(ChildrenTest, ADeathBySignalIsReported) {
  with_each_method([](Loop& loop) {
    const pid_t pid = spawn_sleeper();
    ExitStatus seen;
    ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus status) { seen = status; }));
    EXPECT_TRUE(loop.poll());
    EXPECT_TRUE(watcher.active()) << "it lives";
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_TRUE(seen.signaled());
    EXPECT_EQ(seen.signal(), SIGKILL);
    EXPECT_FALSE(seen.exited());
    EXPECT_EQ(seen.code(), -1);
  });
}

TEST_P(ChildrenTest, AChildThatEndedBeforeItWasWatchedIsReported) {
  with_each_method([](Loop& loop) {
    const pid_t pid = spawn_child([] { return 3; });
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
    int code = -1;
    ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus status) { code = status.code(); }));
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(code, 3);
  });
}

TEST_P(ChildrenTest, ManyChildrenAtOnceAreAllReported) {
  with_each_method([](Loop& loop) {
    constexpr int kCount = 20;
    std::vector<ChildWatcher> watchers;
    int calls = 0;
    std::vector<pid_t> pids;
    for (int i = 0; i < kCount; ++i) pids.push_back(spawn_sleeper());
    for (const pid_t pid : pids) {
      watchers.push_back(get(loop.on_exit(pid, [&](ExitStatus status) {
        ++calls;
        EXPECT_EQ(status.signal(), SIGKILL);
      })));
    }
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, kCount);
    EXPECT_EQ(loop.stats().children.get(), static_cast<std::uint64_t>(kCount));
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no zombie is left";
  });
}

TEST_P(ChildrenTest, TheApplicationsOtherChildrenAreLeftToIt) {
  with_each_method([](Loop& loop) {
    const pid_t other = spawn_child([] { return 9; });
    const pid_t pid = spawn_child([] { return 1; });
    ChildWatcher watcher = get(loop.on_exit(pid, [](ExitStatus) {}));
    EXPECT_TRUE(run_to_end(loop));
    run_for(loop, milliseconds(5));
    EXPECT_EQ(wait_for_child(other), 9);
  });
}

TEST_P(ChildrenTest, ADroppedWatcherLeavesTheChildToTheApplication) {
  with_each_method([](Loop& loop) {
    for (const bool stopped : {false, true}) {
      const pid_t pid = spawn_sleeper();
      ChildWatcher watcher = get(loop.on_exit(pid, [](ExitStatus) { FAIL() << "dropped"; }));
      stopped ? watcher.stop() : static_cast<void>(watcher = ChildWatcher());
      ::kill(pid, SIGKILL);
      EXPECT_TRUE(loop.run()) << "nothing to wait for";
      EXPECT_EQ(wait_for_child(pid), 128 + SIGKILL);
      EXPECT_LE(run_for(loop, milliseconds(5)), 4);
    }
  });
}

TEST_P(ChildrenTest, StrangersAreAnError) {
  with_each_method([](Loop& loop) {
    const auto ignore = [](ExitStatus) {};
    for (const pid_t pid : {::getpid(), ::getppid(), pid_t{0}, pid_t{-1}}) {
      EXPECT_EQ(loop.on_exit(pid, ignore).error(), std::errc::no_child_process) << pid;
    }
    const pid_t gone = spawn_child([] { return 0; });
    wait_for_child(gone);
    EXPECT_EQ(loop.on_exit(gone, ignore).error(), std::errc::no_child_process);
    EXPECT_EQ(loop.counts().children, 0U);
  });
}

TEST_P(ChildrenTest, AChildThatSomebodyElseWaitedForIsAnErrorInTheStatus) {
  with_each_method([](Loop& loop) {
    const pid_t pid = spawn_sleeper();
    int calls = 0;
    ExitStatus seen;
    ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus status) {
      ++calls;
      seen = status;
    }));
    ::kill(pid, SIGKILL);
    wait_for_child(pid);
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(seen.error(), std::errc::no_child_process);
    EXPECT_FALSE(seen.exited());
    EXPECT_FALSE(seen.signaled());
  });
}

TEST_P(ChildrenTest, AStoppedAndContinuedChildIsNotAnExit) {
  with_each_method([](Loop& loop) {
    const pid_t pid = spawn_sleeper();
    int calls = 0;
    ChildWatcher watcher = get(loop.on_exit(pid, [&](ExitStatus) { ++calls; }));
    ::kill(pid, SIGSTOP);
    run_for(loop, milliseconds(5));
    ::kill(pid, SIGCONT);
    run_for(loop, milliseconds(5));
    EXPECT_EQ(calls, 0);
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(calls, 1);
  });
}

TEST_P(ChildrenTest, ACallbackMayForkAndWatchTheSuccessor) {
  with_each_method([](Loop& loop) {
    int exits = 0;
    ChildWatcher watcher;
    Callback<void()> start = [&] {
      const int code = exits;
      watcher = get(loop.on_exit(spawn_child([code] { return code; }), [&](ExitStatus status) {
        EXPECT_EQ(status.code(), exits);
        if (++exits < 5) start();
      }));
    };
    start();
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(exits, 5);
  });
}

TEST_P(ChildrenTest, TheSigchldMethodSharesTheSignalWithTheApplication) {
  LoopOptions chosen = options();
  chosen.child_method = ChildMethod::sigchld;
  Loop loop(std::move(chosen));
  int signals = 0, exits = 0;
  SignalWatcher mine = get(loop.on_signal(SIGCHLD, [&] { ++signals; }));
  ChildWatcher watcher =
      get(loop.on_exit(spawn_child([] { return 0; }), [&](ExitStatus) { ++exits; }));
  EXPECT_TRUE(run_bounded(loop, [&] { return exits > 0 && signals > 0; }));
  watcher = ChildWatcher();
  EXPECT_TRUE(mine.active());
}

INSTANTIATE_TEST_SUITE_P(Backends, ChildrenTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
