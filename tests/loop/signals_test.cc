// SPDX-License-Identifier: MIT
#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"
#include "tests/support/sanitizer.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class SignalsTest : public LoopTest {};

using Handler = void (*)(int);

Handler disposition(int number) {
  struct sigaction action {};
  EXPECT_EQ(::sigaction(number, nullptr, &action), 0);
  return action.sa_handler;
}

TEST_P(SignalsTest, TheCallbackRunsInTheLoop) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  EXPECT_TRUE(watcher.active());
  ::raise(SIGUSR1);
  EXPECT_EQ(calls, 0) << "not in the handler";
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(loop.stats().signals.get(), 1U);
  EXPECT_TRUE(watcher.active()) << "again and again";
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 2);
}

TEST_P(SignalsTest, ASignalWakesASleepingLoop) {
  if (kHandlersAreDeferred) GTEST_SKIP() << "the sanitizer runs handlers late";
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] {
    ++calls;
    loop.stop();
  }));
  const auto here = ::pthread_self();
  std::thread other([here] { ::pthread_kill(here, SIGUSR1); });
  EXPECT_TRUE(run_to_end(loop));
  other.join();
  EXPECT_EQ(calls, 1);
}

TEST_P(SignalsTest, SignalsOfOneNumberCoalesce) {
  Loop loop(options());
  int calls = 0, others = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  SignalWatcher other = get(loop.on_signal(SIGUSR2, [&] { ++others; }));
  for (int i = 0; i < 100; ++i) ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(others, 1);
}

TEST_P(SignalsTest, SeveralWatchersOfOneSignalAreAllCalledInOrder) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<SignalWatcher> watchers;
  for (int i = 0; i < 3; ++i) {
    watchers.push_back(get(loop.on_signal(SIGUSR1, [&order, i] { order.push_back(i); })));
  }
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  watchers.erase(watchers.begin());
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 1, 2})) << "the others still watch";
}

extern "C" void some_handler(int) {}

TEST_P(SignalsTest, ThePreviousDispositionComesBackWithTheLastWatcher) {
  struct sigaction mine {};
  mine.sa_handler = &some_handler;
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &mine, &before), 0);
  {
    Loop loop(options());
    SignalWatcher first = get(loop.on_signal(SIGUSR1, [] {}));
    SignalWatcher second = get(loop.on_signal(SIGUSR1, [] {}));
    EXPECT_NE(disposition(SIGUSR1), &some_handler);
    first.stop();
    EXPECT_FALSE(first.active());
    EXPECT_NE(disposition(SIGUSR1), &some_handler) << "one is left";
    second = SignalWatcher();
    EXPECT_EQ(disposition(SIGUSR1), &some_handler);
    SignalWatcher again = get(loop.on_signal(SIGUSR1, [] {}));
    EXPECT_NE(disposition(SIGUSR1), &some_handler);
  }
  EXPECT_EQ(disposition(SIGUSR1), &some_handler);
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(SignalsTest, TheLoopGivesTheDispositionBackWhenItGoesFirst) {
  SignalWatcher watcher;
  const Handler before = disposition(SIGUSR1);
  {
    Loop loop(options());
    watcher = get(loop.on_signal(SIGUSR1, [] {}));
    EXPECT_NE(disposition(SIGUSR1), before);
  }
  EXPECT_EQ(disposition(SIGUSR1), before);
}

TEST_P(SignalsTest, ASignalBelongsToOneLoopAtATime) {
  Loop first(options());
  Loop second(options());
  SignalWatcher watcher = get(first.on_signal(SIGUSR1, [] {}));
  EXPECT_EQ(second.on_signal(SIGUSR1, [] {}).error(), Errc::signal_taken);
  SignalWatcher other = get(second.on_signal(SIGUSR2, [] {}));
  watcher.stop();
  EXPECT_TRUE(second.on_signal(SIGUSR1, [] {}));
}

TEST_P(SignalsTest, NumbersThatCanNotBeCaughtAreErrors) {
  Loop loop(options());
  for (const int number : {0, -1, NSIG, 1000000, SIGKILL, SIGSTOP}) {
    EXPECT_EQ(loop.on_signal(number, [] {}).error(), std::errc::invalid_argument) << number;
  }
  EXPECT_EQ(loop.counts().signals, 0U);
  EXPECT_TRUE(loop.run());
}

TEST_P(SignalsTest, RealTimeSignalsWork) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGRTMAX, [&] { ++calls; }));
  ::raise(SIGRTMAX);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(SignalsTest, ASignalThatCameForAStoppedWatcherIsForgotten) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  ::raise(SIGUSR1);
  watcher.stop();
  watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 0);
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(SignalsTest, ASignalInItsOwnCallbackIsSeenNextTurn) {
  Loop loop(options());
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] {
    if (++calls < 3) ::raise(SIGUSR1);
  }));
  ::raise(SIGUSR1);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(poll_until(loop, [&] { return calls == 3; }));
}

TEST_P(SignalsTest, TheHandlerKeepsErrno) {
  Loop loop(options());
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [] {}));
  errno = 4711;
  ::raise(SIGUSR1);
  EXPECT_EQ(errno, 4711);
}

// The pipe of the handler holds 64 KiB, so the signals below fill it.
TEST(SignalHandler, KeepsErrnoOnceItsPipeIsFull) {
  Loop loop;
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  errno = 4711;
  for (int i = 0; i < 66000; ++i) ::raise(SIGUSR1);
  EXPECT_EQ(errno, 4711);
  EXPECT_TRUE(poll_until(loop, [&] { return calls > 0; }));
}

TEST_P(SignalsTest, AWatcherThatIsStillDueIsCalledOnce) {
  Loop loop(options());
  int calls = 0, others = 0;
  SignalWatcher first = get(loop.on_signal(SIGUSR1, [&] {
    if (++calls == 1) throw std::runtime_error("the first");
  }));
  SignalWatcher second = get(loop.on_signal(SIGUSR1, [&] { ++others; }));
  ::raise(SIGUSR1);
  EXPECT_THROW(static_cast<void>(loop.poll()), std::runtime_error);
  EXPECT_EQ(others, 0);
  ::raise(SIGUSR1);  // the second watcher has not had its first call yet
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(others, 1);
  EXPECT_EQ(loop.next_timeout(), kForever) << "nobody is due";
}

// ---- Loops of several threads ----

TEST_P(SignalsTest, EachThreadsLoopHasSignalsOfItsOwn) {
  const auto serve = [this](int number) {
    for (int round = 0; round < 20; ++round) {
      Loop loop(options());
      int calls = 0;
      SignalWatcher watcher = get(loop.on_signal(number, [&] { ++calls; }));
      Timer again = loop.every(milliseconds(1), [number] { ::raise(number); });
      ASSERT_TRUE(run_bounded(loop, [&] { return calls > 1; }));
    }
  };
  std::thread other([&] { serve(SIGUSR2); });
  serve(SIGUSR1);
  other.join();
}

TEST_P(SignalsTest, TwoThreadsNeverHoldOneSignal) {
  SKIP_BACKEND_ON_LIBKQUEUE("mixes up queues that two threads open and close at once");
  std::atomic<int> holders{0}, taken{0};
  const auto contend = [&, this] {
    for (int round = 0; round < 100; ++round) {
      Loop loop(options());
      Result<SignalWatcher> watcher = loop.on_signal(SIGUSR1, [] {});
      if (watcher) {
        EXPECT_EQ(++holders, 1);
        ::raise(SIGUSR1);
        --holders;
      } else {
        EXPECT_EQ(watcher.error(), Errc::signal_taken);
        ++taken;
      }
    }
  };
  const Handler before = disposition(SIGUSR1);
  std::thread other(contend);
  contend();
  other.join();
  EXPECT_LT(taken, 200);
  EXPECT_EQ(disposition(SIGUSR1), before);
}

// If a handler has begun in another thread, the loop waits for it before closing its pipe. The test
// reuses the descriptor numbers at once, so that a late byte would show up in one of its sockets.
TEST_P(SignalsTest, NoHandlerWritesAfterTheLoopsEnd) {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  struct sigaction before {};
  ASSERT_EQ(::sigaction(SIGUSR1, &ignore, &before), 0);
  std::atomic<bool> over{false};
  const auto flood = [&] {
    while (!over) ::raise(SIGUSR1);
  };
  std::array<std::thread, 2> others = {std::thread(flood), std::thread(flood)};
  sigset_t own, mask;
  sigemptyset(&own);
  sigaddset(&own, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &own, &mask);
  for (int round = 0; round < 50; ++round) {
    {
      Loop loop(options());
      int calls = 0;
      SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
      EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
    }
    std::array<FdPair, 3> pairs = {make_socket_pair(), make_socket_pair(), make_socket_pair()};
    burn(std::chrono::microseconds(500));
    for (FdPair& pair : pairs) {
      EXPECT_EQ(read_text(pair.near.get()), "");
      EXPECT_EQ(read_text(pair.far.get()), "");
    }
  }
  over = true;
  for (std::thread& thread : others) thread.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

TEST_P(SignalsTest, AWatcherKeepsRunGoingUntilItIsUnrefd) {
  Loop loop(options());
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [] {}));
  Timer stopper = loop.after(milliseconds(5), [&] { watcher.unref(); });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_FALSE(stopper.active());
}

INSTANTIATE_TEST_SUITE_P(Backends, SignalsTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
