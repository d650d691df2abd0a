// SPDX-License-Identifier: MIT
// G9: in a forked child, destructors only close descriptors, and every call with a Result gives
// wrong_process. reinit_after_fork() makes the loop the child's own and ends child watchers.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "reactor/base/error.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class GuaranteesFork : public LoopTest {};

TEST_P(GuaranteesFork, G9_EveryResultCallGivesWrongProcessInTheChild) {
  Loop loop(options());
  FdPair pipe = make_pipe(), other = make_pipe();
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [](Ready) {}));
  EXPECT_TRUE(loop.in_own_process());
  EXPECT_EQ(in_child([&] {
              EXPECT_FALSE(loop.in_own_process());
              const std::error_code wrong = Errc::wrong_process;
              EXPECT_EQ(loop.run().error(), wrong);
              EXPECT_EQ(loop.run_once(Duration::zero()).error(), wrong);
              EXPECT_EQ(loop.poll().error(), wrong);
              EXPECT_EQ(loop.watch(other.near.get(), Interest::read, [](Ready) {}).error(), wrong);
              EXPECT_EQ(loop.on_signal(SIGUSR1, [] {}).error(), wrong);
              EXPECT_EQ(loop.on_exit(1, [](ExitStatus) {}).error(), wrong);
              EXPECT_EQ(loop.backend_fd().error(), wrong);
              EXPECT_EQ(watcher.set(Interest::none).error(), wrong);
              EXPECT_EQ(watcher.set(Interest::read_write).error(), wrong);
            }),
            0);
  EXPECT_TRUE(loop.poll());
}

TEST_P(GuaranteesFork, G9_TheChildsDestructorsLeaveTheParentsSetAlone) {
  auto loop = std::make_unique<Loop>(options());
  FdPair pipe = make_pipe(), stopped = make_pipe(), kept = make_pipe();
  int calls = 0;
  const auto count = [&](Ready) { ++calls; };
  IoWatcher destroyed = get(loop->watch(pipe.near.get(), Interest::read, count));
  IoWatcher ended = get(loop->watch(stopped.near.get(), Interest::read, count));
  IoWatcher outlives = get(loop->watch(kept.near.get(), Interest::read, count));
  Timer timer = loop->after(hours(1), [] {});
  EXPECT_EQ(in_child([&] {
              destroyed = IoWatcher();
              ended.stop();
              pipe.near.reset();
              timer = Timer();
              loop.reset();
            }),
            0);
  write_text(pipe.far.get(), "!");
  write_text(stopped.far.get(), "!");
  write_text(kept.far.get(), "!");
  EXPECT_TRUE(loop->poll());
  EXPECT_EQ(calls, 3) << "all three are still in the set";
}

TEST_P(GuaranteesFork, G9_TheChildMayMakeALoopOfItsOwn) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  write_text(pipe.far.get(), "!");
  EXPECT_EQ(in_child([&] {
              Loop own(options());
              int own_calls = 0;
              IoWatcher mine =
                  get(own.watch(pipe.near.get(), Interest::read, [&](Ready) { ++own_calls; }));
              EXPECT_TRUE(own.poll());
              EXPECT_EQ(own_calls, 1);
              EXPECT_EQ(calls, 0);
            }),
            0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesFork, G9_TheChildMayCloseWhatTheParentsLoopWatches) {
  FdPair watched = make_pipe(), paused = make_pipe(), other = make_pipe();
  const auto before = FdGuard::open_descriptors();
  Loop loop(options());
  int calls = 0, signals = 0;
  const auto count = [&](Ready) { ++calls; };
  IoWatcher watcher = get(loop.watch(watched.near.get(), Interest::read, count));
  IoWatcher sleeping = get(loop.watch(paused.near.get(), Interest::none, count));
  SignalWatcher taken = get(loop.on_signal(SIGUSR1, [&] { ++signals; }));
  EXPECT_EQ(in_child([&] {
              loop.close_in_child();
              EXPECT_EQ(::fcntl(watched.near.get(), F_GETFD), -1);
              EXPECT_EQ(::fcntl(paused.near.get(), F_GETFD), -1);
              EXPECT_NE(::fcntl(other.near.get(), F_GETFD), -1);
              auto expected = before;
              expected.erase(watched.near.get());
              expected.erase(paused.near.get());
              EXPECT_EQ(FdGuard::open_descriptors(), expected)
                  << "nothing else of the loop is left";
              ::_exit(::testing::Test::HasFailure() ? 1 : 0);
            }),
            0);
  write_text(watched.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1) << "it is still in the parent's set";
  ::raise(SIGUSR1);
  EXPECT_TRUE(run_bounded(loop, [&] { return signals > 0; }));
}

TEST_P(GuaranteesFork, G9_ALoopOfTheChildMayWatchTheSameSignals) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  ::raise(SIGUSR1);  // the loop has not handled it yet
  EXPECT_EQ(in_child([&] {
              Loop own(options());
              int own_calls = 0;
              SignalWatcher mine = get(own.on_signal(SIGUSR1, [&] { ++own_calls; }));
              watcher.stop();  // leaves the child's own watchers alone
              int others = 0;
              SignalWatcher other = get(own.on_signal(SIGUSR2, [&] { ++others; }));
              ::raise(SIGUSR2);
              EXPECT_TRUE(run_bounded(own, [&] { return others > 0; }));
              EXPECT_EQ(own_calls, 0) << "that one was the parent's";
              ::raise(SIGUSR1);
              EXPECT_TRUE(run_bounded(own, [&] { return own_calls > 0; }));
            }),
            0);
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesFork, G9_TheChildsPostsAndStopsDoNotReachTheParent) {
  Loop loop(options());
  EXPECT_EQ(in_child([&] {
              loop.post([] { FAIL() << "nobody runs it"; });
              loop.stop();
            }),
            0);
  int fired = 0;
  Timer timer = loop.after(milliseconds(1), [&] { ++fired; });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 1);
}

TEST_P(GuaranteesFork, G9_AnInheritedSignalHandlerWritesNothing) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  EXPECT_EQ(in_child([] {
              for (int i = 0; i < 10; ++i) ::raise(SIGUSR1);
            }),
            0);
  EXPECT_LE(run_for(loop, milliseconds(20)), 4);
  EXPECT_EQ(calls, 0) << "the child's signals are the child's";
  EXPECT_EQ(loop.stats().wakeups.get(), 0U) << "nothing was written into the shared pipe";
  ::raise(SIGUSR1);
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesFork, G9_ReinitKeepsWatchersAndTimers) {
  Loop loop(options());
  FdPair pipe = make_pipe(), paused = make_pipe();
  int calls = 0, paused_calls = 0, fired = 0, periods = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  IoWatcher sleeping =
      get(loop.watch(paused.near.get(), Interest::none, [&](Ready) { ++paused_calls; }));
  Timer timer = loop.after(milliseconds(1), [&] { ++fired; });
  Timer periodic = loop.every(milliseconds(1), [&] { ++periods; });
  write_text(pipe.far.get(), "!");
  write_text(paused.far.get(), "!");
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_TRUE(loop.in_own_process());
              EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0 && fired > 0 && periods > 2; }));
              EXPECT_EQ(paused_calls, 0);
              EXPECT_TRUE(sleeping.set(Interest::read));
              EXPECT_TRUE(run_bounded(loop, [&] { return paused_calls > 0; }));
              watcher = IoWatcher();  // leaves the set of the child only
            }),
            0);
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0 && fired > 0; }));
  EXPECT_EQ(paused_calls, 0);
}

TEST_P(GuaranteesFork, G9_ReinitRemakesTheWakeUp) {
  Loop loop(options());
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              int posted = 0;
              loop.post([&] { ++posted; });
              EXPECT_TRUE(loop.run_once(kLimit));
              EXPECT_EQ(posted, 1);
              EXPECT_EQ(loop.stats().wakeups.get(), 1U);
            }),
            0);
  EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "the child's post is no event here";
  EXPECT_EQ(loop.stats().wakeups.get(), 0U);
}

TEST_P(GuaranteesFork, G9_ReinitDropsTheParentsPosts) {
  Loop loop(options());
  int posted = 0;
  loop.post([&] { ++posted; });
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_TRUE(loop.poll());
              EXPECT_EQ(posted, 0);
            }),
            0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(posted, 1);
}

TEST_P(GuaranteesFork, G9_ReinitRemakesTheSignalPipe) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  ::raise(SIGUSR1);  // sent to the parent; the child must not see it
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_LE(run_for(loop, milliseconds(20)), 4);
              EXPECT_EQ(calls, 0);
              ::raise(SIGUSR1);
              EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
              EXPECT_EQ(calls, 1);
            }),
            0);
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
  EXPECT_EQ(calls, 1) << "the parent still has its own";
}

// The child gets signals from the fork on, even one that comes before any of its code has run.
TEST_P(GuaranteesFork, G9_ASignalBeforeReinitIsDeliveredInTheChild) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  for (int round = 0; round < 10; ++round) {
    const pid_t child = spawn_child([&] {
      const bool well = loop.reinit_after_fork() && run_bounded(loop, [&] { return calls > 0; });
      return well && calls == 1 ? 0 : 1;
    });
    ::kill(child, SIGUSR1);
    EXPECT_EQ(wait_for_child(child), 0);
  }
  EXPECT_EQ(in_child([&] {
              ::raise(SIGUSR1);
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_EQ(loop.next_timeout(), Duration::zero());
              EXPECT_TRUE(loop.poll());
              EXPECT_EQ(calls, 1);
              EXPECT_TRUE(loop.poll());
              EXPECT_EQ(calls, 1);
            }),
            0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 0) << "none of them was the parent's";
  EXPECT_EQ(loop.stats().wakeups.get(), 0U) << "nothing was written into the shared pipe";
}

// reinit_after_fork() does not revive a watcher whose descriptor was closed, even if the number
// stands for another file now.
TEST_P(GuaranteesFork, G9_ReinitDoesNotReviveADeadWatcher) {
  Loop loop(options());
  FdPair closed = make_pipe(), paused = make_pipe();
  const auto never = [](Ready) { FAIL() << "dead"; };
  IoWatcher dead = get(loop.watch(closed.near.get(), Interest::read, never));
  IoWatcher dead_and_paused = get(loop.watch(paused.near.get(), Interest::none, never));
  for (FdPair* pair : {&closed, &paused}) {  // from here on, other files have their numbers
    const int number = pair->near.get();
    *pair = {};
    *pair = pipe_at(number);
    write_text(pair->far.get(), "!");
  }
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
              EXPECT_FALSE(dead.active());
              EXPECT_EQ(dead_and_paused.set(Interest::read).error(), Errc::handle_dead);
              for (const FdPair* pair : {&closed, &paused}) {
                int calls = 0;
                IoWatcher fresh =
                    get(loop.watch(pair->near.get(), Interest::read, [&](Ready) { ++calls; }));
                EXPECT_TRUE(loop.poll());
                EXPECT_EQ(calls, 1);
              }
            }),
            0);
  EXPECT_EQ(in_child([&] {
              loop.close_in_child();
              EXPECT_NE(::fcntl(closed.near.get(), F_GETFD), -1) << "the stranger's";
              ::_exit(::testing::Test::HasFailure() ? 1 : 0);
            }),
            0);
}

TEST_P(GuaranteesFork, G9_AfterReinitDispositionsComeBackInTheChild) {
  Loop loop(options());
  {
    SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [] {}));
    EXPECT_EQ(in_child([&] {
                ASSERT_TRUE(loop.reinit_after_fork());
                watcher = SignalWatcher();
                ::raise(SIGUSR1);  // the default disposition kills the process
                FAIL() << "still caught";
              }),
              128 + SIGUSR1);
  }
}

TEST_P(GuaranteesFork, G9_ReinitEndsChildWatchers) {
  Loop loop(options());
  const pid_t sibling = spawn_sleeper();
  int calls = 0;
  ExitStatus seen;
  ChildWatcher watcher = get(loop.on_exit(sibling, [&](ExitStatus status) {
    ++calls;
    seen = status;
  }));
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
              EXPECT_EQ(seen.error(), Errc::wrong_process);
              EXPECT_FALSE(watcher.active());
            }),
            0);
  EXPECT_TRUE(watcher.active());
  ::kill(sibling, SIGKILL);
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
  EXPECT_EQ(seen.signal(), SIGKILL);
}

// The child inherits the events that the parent has fetched but not yet handled.
TEST_P(GuaranteesFork, G9_ForkingInsideACallbackIsSurvived) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  int calls = 0, failed = -1;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) {
    ++calls;
    failed = in_child([&] {
      EXPECT_EQ(loop.run().error(), Errc::wrong_process);
      EXPECT_EQ(loop.reinit_after_fork().error(), Errc::nested_run);
      watcher.stop();
      Loop own(options());
      EXPECT_TRUE(own.poll());
    });
    watcher.stop();
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(failed, 0);
}

TEST_P(GuaranteesFork, G9_ReinitInTheParentIsHarmless) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  EXPECT_TRUE(loop.reinit_after_fork());
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesFork, G9_GrandchildrenCanDoItAgain) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  write_text(pipe.far.get(), "!");
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              EXPECT_EQ(in_child([&] {
                          EXPECT_EQ(loop.poll().error(), Errc::wrong_process);
                          ASSERT_TRUE(loop.reinit_after_fork());
                          EXPECT_TRUE(loop.poll());
                          EXPECT_EQ(calls, 1);
                        }),
                        0);
              EXPECT_TRUE(loop.poll());
              EXPECT_EQ(calls, 1);
            }),
            0);
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesFork, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
