// SPDX-License-Identifier: MIT
// G3: a handle that a callback registers is first polled in the next batch.
// G10: a busy descriptor, a posting thread or a zero-delay timer never keeps the others waiting for
// more than one batch.
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/due_handle.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

class GuaranteesBatch : public LoopTest {};
class GuaranteesBatchPost : public LoopTest {};

TEST_P(GuaranteesBatch, G3_AWatcherMadeInACallbackWaitsForTheNextBatch) {
  Loop loop(options());
  FdPair first = make_pipe(), second = make_pipe();
  write_text(first.far.get(), "!");
  write_text(second.far.get(), "!");
  int first_calls = 0, second_calls = 0;
  IoWatcher late;
  IoWatcher early = get(loop.watch(first.near.get(), Interest::read, [&](Ready) {
    ++first_calls;
    if (late) return;
    late = get(loop.watch(second.near.get(), Interest::read, [&](Ready) { ++second_calls; }));
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(first_calls, 1);
  EXPECT_EQ(second_calls, 0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(second_calls, 1);
}

// The new watcher gets the descriptor number, and perhaps the registry entry, of a watcher whose
// event is in this batch.
TEST_P(GuaranteesBatch, G3_ARecycledNumberWaitsForTheNextBatch) {
  Loop loop(options());
  std::array<FdPair, 2> pipes = {make_pipe(), make_pipe()};
  std::array<IoWatcher, 2> watchers;
  int old_calls = 0, new_calls = 0;
  FdPair fresh;
  IoWatcher replacement;
  const auto replace = [&](std::size_t other) {
    const int number = pipes[other].near.get();
    watchers[other] = IoWatcher();
    pipes[other].near.reset();
    fresh = make_pipe();
    ASSERT_EQ(fresh.near.get(), number) << "the lowest free number is taken";
    replacement = get(loop.watch(number, Interest::read, [&](Ready) { ++new_calls; }));
  };
  for (std::size_t i = 0; i < 2; ++i) {
    write_text(pipes[i].far.get(), "!");
    watchers[i] = get(loop.watch(pipes[i].near.get(), Interest::read, [&, i](Ready) {
      if (++old_calls == 1) replace(1 - i);
    }));
  }
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(old_calls, 1);
  EXPECT_EQ(new_calls, 0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(new_calls, 0) << "nothing was written to the new one";
  write_text(fresh.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(new_calls, 1);
}

TEST_P(GuaranteesBatch, G3_InterestAddedInACallbackWaitsForTheNextBatch) {
  Loop loop(options());
  FdPair busy = make_socket_pair(), paused = make_socket_pair();
  write_text(busy.far.get(), "!");
  int calls = 0, paused_calls = 0;
  IoWatcher second =
      get(loop.watch(paused.near.get(), Interest::none, [&](Ready) { ++paused_calls; }));
  IoWatcher first = get(loop.watch(busy.near.get(), Interest::read, [&](Ready) {
    if (++calls > 1) return;
    EXPECT_TRUE(second.set(Interest::write));
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(paused_calls, 0);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(paused_calls, 1);
}

// A callback of each kind makes another handle of its kind that is due. This one runs in the next
// turn.
TEST_P(GuaranteesBatch, G3_EveryKindWaitsForTheNextTurn) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    int first_calls = 0, second_calls = 0;
    std::unique_ptr<DueHandle> first, second;
    first = make_due(loop, kind, [&] {
      ++first_calls;
      if (second != nullptr) return;
      second = make_due(loop, kind, [&] { ++second_calls; });
    });
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(first_calls, 1);
    EXPECT_EQ(second_calls, 0);
    EXPECT_TRUE(poll_until(loop, [&] { return second_calls > 0; }));
  }
}

TEST_P(GuaranteesBatch, G3_APostInAPostedCallWaitsATurn) {
  Loop loop(options());
  int first = 0, second = 0;
  loop.post([&] {
    ++first;
    loop.post([&] { ++second; });
  });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
  EXPECT_TRUE(loop.run_once(kLimit)) << "does not sleep on what waits";
  EXPECT_EQ(second, 1);
}

// ---- G10 ----

// Everything that can keep a loop busy does so at the same time.
TEST_P(GuaranteesBatch, G10_EveryoneGetsATurnInEachBatch) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  int reads = 0, fired = 0, posted = 0, deferred_calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++reads; }));
  Timer timer;
  timer = loop.after(Duration::zero(), [&] {
    ++fired;
    timer.start(Duration::zero());
  });
  Callback<void()> post_again = [&] {
    ++posted;
    loop.post([&] { post_again(); });
  };
  loop.post([&] { post_again(); });
  Deferred deferred;
  deferred = loop.deferred([&] {
    ++deferred_calls;
    deferred.schedule();
  });
  deferred.schedule();
  constexpr int kTurns = 200;
  for (int turn = 0; turn < kTurns; ++turn) EXPECT_TRUE(loop.run_once(kLimit));
  for (const int count : {reads, fired, posted, deferred_calls}) {
    EXPECT_GE(count, kTurns - 1);
    EXPECT_LE(count, kTurns);
  }
}

TEST_P(GuaranteesBatch, G10_ManyBusyDescriptorsAllGetTheirTurn) {
  Loop loop(options());
  constexpr std::size_t kCount = 700;  // more than one batch of events
  std::vector<FdPair> pipes(kCount);
  std::vector<IoWatcher> watchers(kCount);
  std::vector<int> calls(kCount, 0);
  for (std::size_t i = 0; i < kCount; ++i) {
    pipes[i] = make_pipe();
    write_text(pipes[i].far.get(), "!");
    watchers[i] =
        get(loop.watch(pipes[i].near.get(), Interest::read, [&, i](Ready) { ++calls[i]; }));
  }
  for (int turn = 0; turn < 10; ++turn) EXPECT_TRUE(loop.poll());
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_GE(calls[i], 4) << i;
}

TEST_P(GuaranteesBatchPost, G10_APostingThreadStarvesNobody) {
  Loop loop(options());
  std::atomic<bool> done{false};
  std::atomic<int> backlog{0};
  std::thread poster([&] {
    while (!done.load()) {
      if (backlog.load() > 10000) {
        std::this_thread::yield();
        continue;
      }
      ++backlog;
      loop.post([&] { --backlog; });
    }
  });
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  int reads = 0, fired = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++reads; }));
  Timer timer = loop.every(std::chrono::milliseconds(1), [&] { ++fired; });
  EXPECT_TRUE(run_bounded(loop, [&] { return reads >= 20 && fired >= 20; }));
  done.store(true);
  poster.join();
}

TEST_P(GuaranteesBatch, G10_AZeroDelayTimerDoesNotHoldUpStop) {
  Loop loop(options());
  Timer zero, end;
  zero = loop.after(Duration::zero(), [&] { zero.start(Duration::zero()); });
  end = loop.after(std::chrono::milliseconds(20), [&] { loop.stop(); });
  EXPECT_TRUE(run_to_end(loop));
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesBatch, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesBatchPost, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
