// SPDX-License-Identifier: MIT
// G7: only post() and stop() are thread-safe, and post() wakes a sleeping loop. Any number of posts
// before the loop wakes cost one wake-up. The thread sanitizer runs these tests.
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class GuaranteesPost : public LoopTest {};

// Returns how often the descriptors that wake loops were written to since they were last read. On
// Linux these are eventfds, whose counters proc(5) shows.
std::uint64_t pending_wake_ups() {
  std::uint64_t total = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo", ignored)) {
    std::ifstream lines(entry.path());
    for (std::string word; lines >> word;) {
      std::uint64_t count = 0;
      if (word == "eventfd-count:" && lines >> std::hex >> count) total += count;
    }
  }
  return total;
}

void run_threads(int count, const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

TEST_P(GuaranteesPost, G7_PostWakesASleepingLoop) {
  Loop loop(options());
  Timer keeps_running = loop.after(hours(1), [] {});
  const auto here = std::this_thread::get_id();
  std::thread::id ran_in;
  std::thread other([&] {
    loop.post([&] {
      ran_in = std::this_thread::get_id();
      loop.stop();
    });
  });
  EXPECT_TRUE(run_to_end(loop));
  other.join();
  EXPECT_EQ(ran_in, here);
}

// A loop counts as asleep before its first run and after each run.
TEST_P(GuaranteesPost, G7_ManyPostsBeforeItWakesCostOneWakeUp) {
  Loop loop(options());
  int ran = 0;
  for (int round = 1; round <= 3; ++round) {
    const std::uint64_t before = pending_wake_ups();
    run_threads(4, [&](int) {
      for (int i = 0; i < 250; ++i) loop.post([&] { ++ran; });
    });
    EXPECT_LE(pending_wake_ups() - before, 1U) << "one write for all posts";
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(ran, round * 1000);
    for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
    EXPECT_EQ(loop.stats().wakeups.get(), static_cast<std::uint64_t>(round));
  }
  EXPECT_EQ(loop.stats().posted.get(), 3000U);
}

TEST_P(GuaranteesPost, G7_PostingToALoopThatIsAwakeCostsNoWakeUp) {
  Loop loop(options());
  int ran = 0;
  Timer timer = loop.after(Duration::zero(), [&] {
    const std::uint64_t before = pending_wake_ups();
    run_threads(2, [&](int) {
      for (int i = 0; i < 100; ++i) loop.post([&] { ++ran; });
    });
    EXPECT_EQ(pending_wake_ups(), before);
  });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(ran, 200);
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.stats().wakeups.get(), 0U);
}

TEST_P(GuaranteesPost, G7_ALoopThatHasSleptIsAwakeInItsCallbacks) {
  Loop loop(options());
  int ran = 0;
  Timer timer = loop.after(milliseconds(2), [&] { loop.post([&] { ++ran; }); });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(loop.stats().wakeups.get(), 0U);
}

TEST_P(GuaranteesPost, G7_EachPostersOrderIsKept) {
  Loop loop(options());
  constexpr int kThreads = 4, kPosts = 5000;
  std::vector<int> next(kThreads, 0);
  int finished = 0;
  bool in_order = true;
  std::thread posters([&] {
    run_threads(kThreads, [&](int thread) {
      for (int i = 0; i < kPosts; ++i) {
        loop.post([&, thread, i] {
          in_order = in_order && next[static_cast<std::size_t>(thread)]++ == i;
          if (i == kPosts - 1) ++finished;
        });
      }
    });
  });
  EXPECT_TRUE(run_bounded(loop, [&] { return finished == kThreads; }));
  posters.join();
  EXPECT_TRUE(in_order);
}

// Each post finds the loop asleep or about to sleep, so a lost wake-up hangs this test.
TEST_P(GuaranteesPost, G7_NoWakeUpIsEverLost) {
  Loop loop(options());
  constexpr int kRounds = 5000;
  std::atomic<int> answered{0};
  std::atomic<bool> over{false};
  std::thread other([&] {
    for (int i = 1; i <= kRounds && !over.load(); ++i) {
      loop.post([&, i] { answered.store(i); });
      while (answered.load() < i && !over.load()) std::this_thread::yield();
    }
  });
  EXPECT_TRUE(run_bounded(
      loop, [&] { return answered.load() == kRounds; }, 3 * kLimit));
  over.store(true);
  other.join();
}

TEST_P(GuaranteesPost, G7_StopFromAThreadEndsASleepingLoop) {
  for (int round = 0; round < 200; ++round) {
    Loop loop(options());
    Timer keeps_running = loop.after(hours(1), [] {});
    std::atomic<bool> running{false};
    loop.post([&] { running.store(true); });
    std::thread other([&] {
      while (!running.load()) std::this_thread::yield();
      loop.stop();
    });
    EXPECT_TRUE(run_to_end(loop));
    other.join();
  }
}

TEST_P(GuaranteesPost, G7_PostFromACallbackRunsWithoutSleeping) {
  Loop loop(options());
  int ran = 0;
  Timer timer = loop.after(Duration::zero(), [&] { loop.post([&] { ++ran; }); });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(ran, 1);
}

TEST_P(GuaranteesPost, APostKeepsRunGoing) {
  Loop loop(options());
  int ran = 0;
  loop.post([&] {
    ++ran;
    loop.post([&] { ++ran; });
  });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(ran, 2);
}

TEST_P(GuaranteesPost, WhatIsPostedIsDestroyedRightAfterItRan) {
  Loop loop(options());
  const auto witness = std::make_shared<int>(1);
  long during = 0;
  loop.post([&during, witness] { during = witness.use_count(); });
  loop.post([&witness] { EXPECT_EQ(witness.use_count(), 1); });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(during, 2);
}

TEST_P(GuaranteesPost, WhatNeverRanIsDestroyedWithTheLoop) {
  const auto witness = std::make_shared<int>(1);
  {
    Loop loop(options());
    for (int i = 0; i < 10; ++i) loop.post([witness] { FAIL() << "nobody runs it"; });
    EXPECT_EQ(witness.use_count(), 11);
  }
  EXPECT_EQ(witness.use_count(), 1);
}

TEST_P(GuaranteesPost, PostTakesMoveOnlyCallables) {
  Loop loop(options());
  int got = 0;
  loop.post([&got, number = std::make_unique<int>(6)] { got = *number; });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(got, 6);
}

// The posts of one thread do not delay the stop() of another: each turn runs all posted calls.
TEST_P(GuaranteesPost, G7_PostAndStopFromManyThreadsAtOnce) {
  for (int round = 0; round < 20; ++round) {
    Loop loop(options());
    Timer keeps_running = loop.after(hours(1), [] {});
    std::atomic<bool> over{false};
    std::thread posters([&] {
      run_threads(3, [&](int thread) {
        for (int i = 0; i < 200; ++i) loop.post([] {});
        if (thread == 0) loop.stop();
        while (!over.load()) std::this_thread::yield();
      });
    });
    EXPECT_TRUE(run_to_end(loop));
    over.store(true);
    posters.join();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesPost, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
