// SPDX-License-Identifier: MIT
// Timers and posted work: mistakes that event loops are known for. Work that makes more work must
// not starve the rest, huge delays must not wrap around, and no timer may be early.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class LoopTime : public LoopTest {};
class FairPosts : public LoopTest {};

// Sends back what is written to `far`, like an echo server.
struct Echo {
  explicit Echo(Loop& loop)
      : watcher(get(loop.watch(pair.near.get(), Interest::read, [this](Ready) {
          write_text(pair.near.get(), read_text(pair.near.get()));
        }))) {}
  void ask() { write_text(pair.far.get(), "?"); }
  [[nodiscard]] bool answered() { return read_text(pair.far.get()) == "?"; }
  FdPair pair = make_socket_pair();
  IoWatcher watcher;
};

TEST_P(LoopTime, AZeroDelayTimerThatRearmsItselfLetsOthersWork) {
  Loop loop(options());
  Echo echo(loop);
  int fired = 0;
  Timer timer;
  timer = loop.after(Duration::zero(), [&] {
    ++fired;
    timer.start(Duration::zero());
  });
  for (int i = 0; i < 100; ++i) {
    echo.ask();
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_TRUE(echo.answered());
  }
  EXPECT_EQ(fired, 100);
}

TEST_P(FairPosts, PostedWorkThatPostsWorkLetsOthersWork) {
  Loop loop(options());
  Echo echo(loop);
  int posted = 0;
  Callback<void()> again = [&] {
    ++posted;
    loop.post([&] { again(); });
  };
  loop.post([&] { again(); });
  for (int i = 0; i < 100; ++i) {
    echo.ask();
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_TRUE(echo.answered());
  }
  EXPECT_EQ(posted, 100);
}

// The loop uses the monotonic clock, which nobody can set. timer_queue_test.cc tests the queue
// under a clock that stands still and steps back.
TEST_P(LoopTime, TheLoopsClockIsTheMonotonicOne) {
  Loop loop(options());
  const TimePoint before = monotonic_now();
  EXPECT_TRUE(loop.poll());
  EXPECT_GE(loop.now(), before);
  EXPECT_LE(loop.now(), monotonic_now());
}

TEST_P(LoopTime, AHugeDelayIsNeitherNowNorABrokenWait) {
  Loop loop(options());
  int never = 0, soon = 0;
  std::vector<Timer> timers;
  const std::vector<Duration> delays = {kForever,
                                        kForever - Duration(1),
                                        kForever / 2,
                                        hours(24 * 365 * 200),
                                        hours(24 * 50),
                                        std::chrono::seconds(0x7fffffff),
                                        milliseconds(0x80000000LL),
                                        std::chrono::minutes(36)};
  for (const Duration delay : delays) timers.push_back(loop.after(delay, [&] { ++never; }));
  Timer timer = loop.after(milliseconds(5), [&] { ++soon; });
  EXPECT_TRUE(run_bounded(loop, [&] { return soon > 0; }));
  EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "no wait of length zero";
  EXPECT_EQ(never, 0);
}

TEST_P(LoopTime, AWaitOfYearsIsAWait) {
  for (const Duration delay : {Duration(hours(24 * 365 * 200)), Duration(hours(24 * 50)),
                               Duration(std::chrono::minutes(36))}) {
    Loop loop(options());
    Timer timer = loop.after(delay, [] {});
    Timer waker = loop.after(milliseconds(5), [] {});
    EXPECT_LE(run_for(loop, milliseconds(15)), 4);
    EXPECT_TRUE(timer.active());
  }
}

TEST_P(LoopTime, TimersCostOneWaitEachAndAreNeverEarly) {
  Loop loop(options());
  constexpr int kTimers = 60;
  int in_one_turn = 0;
  for (int i = 0; i < kTimers; ++i) {
    const std::uint64_t turns = loop.stats().turns.get();
    const TimePoint due = monotonic_now() + milliseconds(3);
    bool fired = false;
    Timer timer = loop.after(milliseconds(3), [&] {
      fired = true;
      EXPECT_GE(monotonic_now(), due);
    });
    EXPECT_TRUE(run_bounded(loop, [&] { return fired; }));
    if (loop.stats().turns.get() - turns == 1) ++in_one_turn;
  }
  // Some may take more turns, because a stopped and continued process wakes early.
  EXPECT_GE(in_one_turn, kTimers / 2) << "no spinning for the last fraction";
}

TEST_P(LoopTime, ATimerThatIsCancelledInItsOwnRoundIsSilent) {
  Loop loop(options());
  std::vector<Timer> timers(10);
  int fired = 0;
  const auto cancel_all = [&] {
    ++fired;
    for (Timer& timer : timers) timer.stop();
  };
  // All timers start inside one turn, so they have the same deadline.
  Timer starter = loop.after(Duration::zero(), [&] {
    for (Timer& timer : timers) timer = loop.after(milliseconds(2), cancel_all);
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 1);
}

TEST_P(LoopTime, AStaleClockDoesNotShortenATimer) {
  Loop loop(options());
  TimePoint started{}, fired{};
  Timer inner = loop.timer([&] { fired = monotonic_now(); });
  Timer outer = loop.after(Duration::zero(), [&] {
    burn(milliseconds(30));
    started = monotonic_now();
    loop.update_now();
    inner.start(milliseconds(20));
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_GE(fired - started, milliseconds(20) - milliseconds(1)) << "from update_now() at least";
}

// Outside a turn there is no batch, so no batch time that could be stale.
TEST_P(LoopTime, OutsideATurnTimersCountFromTheClock) {
  Loop loop(options());
  EXPECT_TRUE(loop.poll());
  burn(milliseconds(30));
  const TimePoint started = monotonic_now();
  TimePoint fired{};
  Timer timer = loop.after(milliseconds(20), [&] { fired = monotonic_now(); });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_GE(fired - started, milliseconds(20));
}

INSTANTIATE_TEST_SUITE_P(Backends, LoopTime, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, FairPosts, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
