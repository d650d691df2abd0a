// SPDX-License-Identifier: MIT
// Forks, signals and children: mistakes that event loops are known for. A child must not disturb
// its parent, no signal may get lost, and the children of the application are left alone.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/sanitizer.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class ForkedLoop : public LoopTest {};
class LoopSignals : public LoopTest {};

TEST_P(ForkedLoop, TheChildsLoopDoesNotEditTheParentsSet) {
  Loop loop(options());
  FdPair pipe = make_pipe(), childs = make_pipe();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) {
    ++calls;
    static_cast<void>(read_text(pipe.near.get()));
  }));
  EXPECT_EQ(in_child([&] {
              Loop own(options());
              IoWatcher mine = get(own.watch(childs.near.get(), Interest::read, [](Ready) {}));
              IoWatcher same = get(own.watch(pipe.near.get(), Interest::write, [](Ready) {}));
              same.stop();
              write_text(childs.far.get(), "!");
              EXPECT_TRUE(own.poll());
            }),
            0);
  EXPECT_LE(run_for(loop, milliseconds(20)), 2) << "no events of the child's";
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
}

TEST_P(ForkedLoop, AFreshLoopRunsInAChildWhateverTheParentHad) {
  auto loop = std::make_unique<Loop>(options());
  Timer timer = loop->every(milliseconds(1), [] {});
  SignalWatcher signal = get(loop->on_signal(SIGUSR2, [] {}));
  EXPECT_TRUE(loop->poll());
  EXPECT_EQ(in_child([&] {
              for (int round = 0; round < 3; ++round) {
                Loop own(options());
                int fired = 0;
                Timer mine = own.after(milliseconds(1), [&] { ++fired; });
                EXPECT_TRUE(run_to_end(own));
                EXPECT_EQ(fired, 1);
              }
              // Destroying the inherited loop closes none of the descriptors that were opened
              // since.
              FdPair pipe = make_pipe();
              Loop own(options());
              loop.reset();
              int calls = 0;
              IoWatcher mine =
                  get(own.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
              write_text(pipe.far.get(), "!");
              EXPECT_TRUE(own.poll());
              EXPECT_EQ(calls, 1);
            }),
            0);
  EXPECT_TRUE(loop->poll());
}

// The prefork master deals with a signal that comes before the child watches it. The loop's share
// is that the child's own handlers work at once.
TEST_P(ForkedLoop, ASignalRightAfterForkIsNotLostOnceTheChildWatchesIt) {
  Loop loop(options());
  SignalWatcher parents = get(loop.on_signal(SIGTERM, [] {}));
  for (int round = 0; round < 20; ++round) {
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &term, &before);
    const pid_t pid = spawn_child([&]() -> int {
      if (!loop.reinit_after_fork()) return 1;
      bool terminated = false;
      SignalWatcher mine = loop.on_signal(SIGTERM, [&] { terminated = true; }).value();
      ::sigprocmask(SIG_SETMASK, &before, nullptr);
      return run_bounded(loop, [&] { return terminated; }) ? 0 : 2;
    });
    ::kill(pid, SIGTERM);
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    EXPECT_EQ(wait_for_child(pid), 0);
  }
}

// Another thread sends the signals, at any point between two waits. It sends the next one when the
// last one was answered. A signal that is missed before a wait would cost an hour.
TEST_P(LoopSignals, ASignalBeforeTheWaitIsNotMissed) {
  if (kHandlersAreDeferred) GTEST_SKIP() << "the sanitizer runs handlers late";
  Loop loop(options());
  constexpr int kRounds = 3000;
  std::atomic<int> seen{0};
  std::atomic<bool> over{false};
  Timer far = loop.after(hours(1), [] {});
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++seen; }));
  const auto here = ::pthread_self();
  std::thread sender([&] {
    for (int i = 0; i < kRounds && !over.load(); ++i) {
      ::pthread_kill(here, SIGUSR1);
      while (seen.load() <= i && !over.load()) std::this_thread::yield();
    }
  });
  EXPECT_TRUE(run_bounded(
      loop, [&] { return seen.load() == kRounds; }, 3 * kLimit));
  over.store(true);
  sender.join();
}

TEST_P(ForkedLoop, AParentsPendingSignalIsNotTheChilds) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  ::raise(SIGUSR1);
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_LE(run_for(loop, milliseconds(20)), 2) << "idle";
              EXPECT_EQ(calls, 0);
            }),
            0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(ForkedLoop, AllChildrenThatDieAtOnceAreWaitedFor) {
  for (const ChildMethod method : {ChildMethod::automatic, ChildMethod::sigchld}) {
    LoopOptions chosen = options();
    chosen.child_method = method;
    Loop loop(std::move(chosen));
    std::vector<pid_t> pids(8);
    for (pid_t& pid : pids) pid = spawn_sleeper();
    std::vector<ChildWatcher> watchers;
    int gone = 0;
    for (const pid_t pid : pids) {
      watchers.push_back(get(loop.on_exit(pid, [&](ExitStatus) { ++gone; })));
    }
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    EXPECT_TRUE(run_bounded(loop, [&] { return gone == 8; }));
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no zombies";
  }
}

TEST_P(ForkedLoop, TheHostsOwnChildrenAreNotStolen) {
  for (const ChildMethod method : {ChildMethod::automatic, ChildMethod::sigchld}) {
    LoopOptions chosen = options();
    chosen.child_method = method;
    Loop loop(std::move(chosen));
    const pid_t hosts = spawn_child([] { return 5; });
    bool gone = false;
    const pid_t ours = spawn_child([] { return 6; });
    ChildWatcher watcher = get(loop.on_exit(ours, [&](ExitStatus status) {
      gone = true;
      EXPECT_EQ(status.code(), 6);
    }));
    EXPECT_TRUE(run_bounded(loop, [&] { return gone; }));
    run_for(loop, milliseconds(5));
    EXPECT_EQ(wait_for_child(hosts), 5);
    EXPECT_FALSE(watcher.active()) << "the pid is forgotten: it may be a stranger's by now";
  }
}

// A descriptor and a watched child have the same number.
TEST_P(ForkedLoop, AChildsPidIsNotTakenForADescriptor) {
  for (const ChildMethod method :
       {ChildMethod::automatic, ChildMethod::process_filter, ChildMethod::sigchld}) {
    LoopOptions chosen = options();
    chosen.child_method = method;
    Loop loop(std::move(chosen));
    const pid_t pid = spawn_sleeper();
    FdPair pipe = make_pipe();
    UniqueFd same(::fcntl(pipe.near.get(), F_DUPFD_CLOEXEC, static_cast<int>(pid)));
    if (same.get() != pid) same.reset();  // the pid is above the limit of descriptors here
    int exits = 0, reads = 0;
    IoWatcher reader;
    if (same) {
      reader = get(loop.watch(same.get(), Interest::read, [&](Ready) {
        ++reads;
        static_cast<void>(read_text(same.get()));
      }));
    }
    auto watcher = loop.on_exit(pid, [&](ExitStatus) { ++exits; });
    if (watcher) {
      write_text(pipe.far.get(), "!");
      EXPECT_TRUE(loop.poll());
      EXPECT_EQ(reads, same ? 1 : 0);
      EXPECT_EQ(exits, 0);
    }
    ::kill(pid, SIGKILL);
    if (watcher) {
      EXPECT_TRUE(run_bounded(loop, [&] { return exits > 0; }));
    }
    EXPECT_EQ(reads, watcher && same ? 1 : 0);
    wait_for_child(pid);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ForkedLoop, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, LoopSignals, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
