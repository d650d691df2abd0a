// SPDX-License-Identifier: MIT
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class DeferredTest : public LoopTest {};

TEST_P(DeferredTest, RunsOnceHoweverOftenItIsScheduled) {
  Loop loop(options());
  int calls = 0;
  Deferred deferred = loop.deferred([&] { ++calls; });
  EXPECT_FALSE(deferred.active());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 0);
  for (int i = 0; i < 5; ++i) deferred.schedule();
  EXPECT_TRUE(deferred.active());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(deferred.active());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(DeferredTest, RunsBeforeTheLoopWaits) {
  Loop loop(options());
  int calls = 0;
  Deferred deferred = loop.deferred([&] {
    ++calls;
    loop.stop();
  });
  Timer far = loop.after(hours(1), [] {});
  Timer starter = loop.after(Duration::zero(), [&] { deferred.schedule(); });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(calls, 1);
}

TEST_P(DeferredTest, OneThatAnIoCallbackScheduledRunsBeforeTheNextIo) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  std::vector<char> order;
  Deferred deferred = loop.deferred([&] { order.push_back('d'); });
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) {
    order.push_back('i');
    deferred.schedule();
  }));
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(order, (std::vector{'i', 'd', 'i', 'd', 'i'}));
}

TEST_P(DeferredTest, OrderIsThatOfScheduling) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<Deferred> all;
  for (int i = 0; i < 4; ++i) all.push_back(loop.deferred([&order, i] { order.push_back(i); }));
  for (const std::size_t i : {2U, 0U, 3U, 1U}) all[i].schedule();
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(order, (std::vector{2, 0, 3, 1}));
}

TEST_P(DeferredTest, ScheduledFromADeferredCallItRunsNextTurnAndTheLoopDoesNotSleep) {
  Loop loop(options());
  int calls = 0;
  Deferred deferred;
  deferred = loop.deferred([&] {
    if (++calls < 10) deferred.schedule();
  });
  deferred.schedule();
  for (int turn = 1; turn <= 9; ++turn) {
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_EQ(calls, turn);
  }
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 10);
}

TEST_P(DeferredTest, StopTakesAScheduledCallBack) {
  Loop loop(options());
  int calls = 0;
  Deferred deferred = loop.deferred([&] { ++calls; });
  deferred.schedule();
  deferred.stop();
  EXPECT_FALSE(deferred.active());
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 0);
  deferred.schedule();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 1) << "it can be scheduled again";
}

TEST_P(DeferredTest, AScheduledOneKeepsRunGoing) {
  Loop loop(options());
  int calls = 0;
  Deferred deferred = loop.deferred([&] { ++calls; });
  EXPECT_TRUE(loop.run()) << "one that is not scheduled does not";
  deferred.schedule();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, DeferredTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
