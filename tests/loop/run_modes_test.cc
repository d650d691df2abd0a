// SPDX-License-Identifier: MIT
// run(), run_once(), poll(), stop(), ref() and unref(), and how a Loop begins and ends.
#include <sys/time.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/due_handle.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/sanitizer.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class RunModes : public LoopTest {};
class RunModesChild : public LoopTest {};

TEST_P(RunModes, RunWithNothingToWaitForReturns) {
  Loop loop(options());
  EXPECT_TRUE(loop.run());
  EXPECT_TRUE(loop.run());
}

TEST_P(RunModes, RunEndsWhenTheLastHandleIsDone) {
  Loop loop(options());
  int fired = 0;
  Timer first = loop.after(milliseconds(1), [&] { ++fired; });
  Timer second = loop.after(milliseconds(3), [&] { ++fired; });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 2);
}

TEST_P(RunModes, ReadinessEndsRunOnceAndTheTimeOutDoes) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  const TimePoint start = monotonic_now();
  EXPECT_TRUE(loop.run_once(milliseconds(10)));
  EXPECT_GE(monotonic_now() - start, milliseconds(10));
  EXPECT_EQ(calls, 0);
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.run_once(kLimit));
  EXPECT_EQ(calls, 1);
  EXPECT_LT(monotonic_now() - start, kLimit);
}

TEST_P(RunModes, RunOnceDoesNotWaitAfterADeferredCall) {
  Loop loop(options());
  int calls = 0;
  Deferred call = loop.deferred([&] { ++calls; });
  call.schedule();
  const TimePoint start = monotonic_now();
  EXPECT_TRUE(loop.run_once(kLimit));
  EXPECT_EQ(calls, 1);
  EXPECT_LT(monotonic_now() - start, kLimit / 2);
}

TEST_P(RunModes, PollDoesNotWait) {
  Loop loop(options());
  Timer timer = loop.after(hours(1), [] {});
  const TimePoint start = monotonic_now();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(loop.run_once(milliseconds(-5)));
  EXPECT_LT(monotonic_now() - start, std::chrono::seconds(5));
}

TEST_P(RunModes, ATimerEndsTheWaitOfRunOnce) {
  Loop loop(options());
  int fired = 0;
  Timer timer = loop.after(milliseconds(5), [&] { ++fired; });
  const TimePoint start = monotonic_now();
  EXPECT_TRUE(run_bounded(loop, [&] { return fired > 0; }));
  EXPECT_LT(monotonic_now() - start, kLimit / 2);
}

TEST_P(RunModes, StopEndsRunAfterThePresentTurn) {
  Loop loop(options());
  int fired = 0, later = 0, posted = 0;
  Timer first = loop.after(Duration::zero(), [&] {
    ++fired;
    loop.stop();
    loop.post([&] { ++posted; });
  });
  Timer same_turn = loop.after(Duration::zero(), [&] { ++fired; });
  Timer next = loop.after(hours(1), [&] { ++later; });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 2) << "the turn is finished";
  EXPECT_EQ(posted, 1);
  EXPECT_EQ(later, 0);
}

TEST_P(RunModes, StopBeforeRunEndsTheNextOneBeforeItsFirstTurn) {
  Loop loop(options());
  int fired = 0;
  Timer timer = loop.after(Duration::zero(), [&] { ++fired; });
  loop.stop();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(fired, 0);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(fired, 1) << "only that one";
  timer.start(Duration::zero());
  loop.stop();
  EXPECT_TRUE(loop.run_once());
  EXPECT_EQ(fired, 1);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(fired, 2);
}

std::atomic<Loop*> g_loop{nullptr};
extern "C" void stop_loop(int) { g_loop.load()->stop(); }

TEST_P(RunModes, StopFromASignalHandlerEndsASleepingLoop) {
  if (kHandlersAreDeferred) GTEST_SKIP() << "the sanitizer runs handlers late";
  Loop loop(options());
  g_loop.store(&loop);
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = &stop_loop;
  ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
  const itimerval soon{{0, 0}, {0, 5000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &soon, nullptr), 0);
  Timer keeps_running = loop.after(hours(1), [] {});
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(keeps_running.active());
  ::sigaction(SIGALRM, &before, nullptr);
}

TEST_P(RunModes, ANestedRunIsAnErrorAndTheOuterOneGoesOn) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    int fired = 0;
    std::unique_ptr<DueHandle> handle;
    handle = make_due(loop, kind, [&] {
      EXPECT_EQ(loop.run().error(), Errc::nested_run);
      EXPECT_EQ(loop.run_once(Duration::zero()).error(), Errc::nested_run);
      EXPECT_EQ(loop.poll().error(), Errc::nested_run);
      EXPECT_EQ(loop.reinit_after_fork().error(), Errc::nested_run);
      handle->stop();
    });
    Timer timer = loop.after(milliseconds(1), [&] { ++fired; });
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(fired, 1);
  }
}

TEST_P(RunModes, AnotherLoopMayRunInACallback) {
  Loop outer(options());
  Loop inner(options());
  int fired = 0;
  Timer inner_timer = inner.after(milliseconds(1), [&] { ++fired; });
  Timer timer = outer.after(Duration::zero(), [&] { EXPECT_TRUE(inner.run()); });
  EXPECT_TRUE(run_to_end(outer));
  EXPECT_EQ(fired, 1);
}

void unref_lifts_the_keeping(LoopOptions options, Kind kind) {
  SCOPED_TRACE(to_string(kind));
  Loop loop(std::move(options));
  int calls = 0;
  std::unique_ptr<DueHandle> handle;
  handle = make_due(loop, kind, [&] {
    ++calls;
    handle->stop();
  });
  handle->unref();
  handle->unref();
  if (kind == Kind::io || kind == Kind::timer) {
    EXPECT_TRUE(loop.run()) << "nobody to wait for";
    EXPECT_EQ(calls, 0);
  }
  handle->ref();
  handle->ref();
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(calls, 1);
}

TEST_P(RunModes, UnrefLiftsTheKeepingAndRefRestoresIt) {
  for (const Kind kind : {Kind::io, Kind::timer, Kind::signal}) {
    unref_lifts_the_keeping(options(), kind);
  }
}

TEST_P(RunModesChild, UnrefLiftsTheKeepingAndRefRestoresIt) {
  unref_lifts_the_keeping(options(), Kind::child);
}

TEST_P(RunModes, AnUnrefdTimerStillFiresWhileOthersKeepTheLoopGoing) {
  Loop loop(options());
  int background = 0;
  Timer ticker = loop.every(milliseconds(1), [&] { ++background; });
  ticker.unref();
  Timer work = loop.after(milliseconds(20), [] {});
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_GT(background, 0);
  ticker.stop();
  ticker.start_every(milliseconds(1));  // a new start does not undo unref()
  EXPECT_TRUE(loop.run());
}

TEST_P(RunModes, UnrefInACallbackEndsRun) {
  Loop loop(options());
  int calls = 0;
  Timer timer;
  timer = loop.every(milliseconds(1), [&] {
    if (++calls == 3) timer.unref();
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(calls, 3);
}

TEST_P(RunModes, APausedWatcherKeepsRunGoing) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::none, [](Ready) {}));
  Timer timer = loop.after(milliseconds(5), [&] { watcher.stop(); });
  timer.unref();
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_FALSE(watcher.active());
}

// ---- beginning and end ----

TEST_P(RunModes, HandlesThatOutliveTheirLoopAreDead) {
  auto loop = std::make_unique<Loop>(options());
  FdPair pipe = make_pipe();
  IoWatcher watcher = get(loop->watch(pipe.near.get(), Interest::read, [](Ready) {}));
  Timer timer = loop->every(milliseconds(1), [] {});
  SignalWatcher signal = get(loop->on_signal(SIGUSR1, [] {}));
  Deferred deferred = loop->deferred([] {});
  deferred.schedule();
  {
    const LogCapture log(LogLevel::debug);
    loop.reset();
    EXPECT_TRUE(log.contains("run_modes_test.cc")) << "they are named in the log";
  }
  EXPECT_FALSE(watcher.active());
  EXPECT_EQ(watcher.set(Interest::read).error(), Errc::handle_dead);
  EXPECT_EQ(watcher.interest(), Interest::none);
  watcher.stop();
  EXPECT_FALSE(timer.active());
  timer.start(milliseconds(1));
  timer.stop();
  timer.unref();
  timer.ref();
  EXPECT_FALSE(signal.active());
  signal.stop();
  EXPECT_FALSE(deferred.active());
  deferred.schedule();
  EXPECT_FALSE(deferred.active());
  deferred.stop();
  EXPECT_TRUE(timer) << "dead is not empty";
}

TEST_P(RunModes, AnEmptyHandleConvertsToFalse) {
  EXPECT_FALSE(IoWatcher());
  EXPECT_FALSE(Timer());
  Loop loop(options());
  Timer timer = loop.timer([] {});
  EXPECT_TRUE(timer);
}

TEST_P(RunModes, TheBackendIsTheOneThatWasAskedFor) {
  Loop loop(options());
  EXPECT_EQ(loop.backend(), GetParam());
}

TEST(Backends, TheEnvironmentChoosesWhereTheOptionsDoNot) {
  for (const Backend backend : available_backends()) {
    ::setenv("REACTOR_BACKEND", std::string(to_string(backend)).c_str(), 1);
    EXPECT_EQ(Loop().backend(), backend);
    LoopOptions select;
    select.backend = Backend::select;
    EXPECT_EQ(Loop(std::move(select)).backend(), Backend::select) << "the options win";
  }
  ::setenv("REACTOR_BACKEND", "auto", 1);
  EXPECT_EQ(Loop().backend(), available_backends().front());
  ::setenv("REACTOR_BACKEND", "", 1);
  EXPECT_EQ(Loop().backend(), available_backends().front());
  ::unsetenv("REACTOR_BACKEND");
  EXPECT_EQ(Loop().backend(), available_backends().front());
}

TEST(Backends, AnUnknownOneIsAnError) {
  ::setenv("REACTOR_BACKEND", "devpoll", 1);
  try {
    Loop loop;
    ADD_FAILURE() << "made a loop";
  } catch (const std::system_error& problem) {
    EXPECT_EQ(problem.code(), Errc::unknown_backend);
  }
  ::unsetenv("REACTOR_BACKEND");
}

INSTANTIATE_TEST_SUITE_P(Backends, RunModes, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, RunModesChild, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
