// SPDX-License-Identifier: MIT
// G4: timers are never early. They fire by tick, then in order of start. A zero-delay timer that a
// timer callback starts waits a turn. A huge delay saturates. Wall-clock jumps change nothing.
#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

class GuaranteesTime : public LoopTest {};

TEST_P(GuaranteesTime, G4_NeverEarly) {
  Loop loop(options());
  std::mt19937 random(1);
  std::vector<Timer> timers;
  std::vector<TimePoint> latest;  // the time by which each has to be due
  int fired = 0;
  for (int i = 0; i < 300; ++i) {
    const Duration delay = microseconds(random() % 100000);
    const TimePoint due = monotonic_now() + delay;
    timers.push_back(loop.after(delay, [&, due] {
      ++fired;
      EXPECT_GE(monotonic_now(), due);
      EXPECT_GE(loop.now(), due) << "by the loop's own clock too";
    }));
    latest.push_back(monotonic_now() + delay + milliseconds(1));  // 1 ms is two ticks of the queue
  }
  std::sort(latest.begin(), latest.end());
  EXPECT_TRUE(run_bounded(loop, [&, before = TimePoint{}]() mutable {
    const auto due = std::upper_bound(latest.begin(), latest.end(), before) - latest.begin();
    EXPECT_GE(fired, due) << "nor later than the turn that begins after it is due";
    before = monotonic_now();
    return fired == 300;
  }));
}

// Tests the kernel's wait alone: each timer is the only one, so its delay decides how long the
// kernel sleeps.
TEST_P(GuaranteesTime, G4_NeverEarlyWithAnyFractionOfATick) {
  Loop loop(options());
  for (const int delay : {1, 400, 523, 524, 525, 999, 1000, 1001, 1999, 2500, 7777}) {
    const TimePoint due = monotonic_now() + microseconds(delay);
    bool fired = false;
    Timer timer = loop.after(microseconds(delay), [&] {
      fired = true;
      EXPECT_GE(monotonic_now(), due) << delay;
    });
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_TRUE(fired);
  }
}

TEST_P(GuaranteesTime, G4_OrderIsByDeadline) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<Timer> timers;
  // All timers start inside one turn, so they count from the same now().
  Timer starter = loop.after(Duration::zero(), [&] {
    for (const int delay : {30, 10, 20, 5, 25}) {
      timers.push_back(
          loop.after(milliseconds(delay), [&order, delay] { order.push_back(delay); }));
    }
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(order, (std::vector{5, 10, 20, 25, 30}));
}

TEST_P(GuaranteesTime, G4_OneTickIsInOrderOfStart) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<Timer> timers;
  // All timers start inside one turn, so they count from the same now().
  Timer starter = loop.after(Duration::zero(), [&] {
    for (int i = 0; i < 50; ++i) {
      timers.push_back(loop.after(milliseconds(3), [&order, i] { order.push_back(i); }));
    }
    timers[0].start(milliseconds(3));  // started again, so it is the last one now
  });
  EXPECT_TRUE(run_to_end(loop));
  ASSERT_EQ(order.size(), 50U);
  EXPECT_EQ(order.back(), 0);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end() - 1));
}

TEST_P(GuaranteesTime, G4_AllThatAreDueRunInOneTurnInOrder) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<Timer> timers;
  // All timers start inside one turn, so they count from the same now().
  Timer starter = loop.after(Duration::zero(), [&] {
    for (const int delay : {9, 3, 6, 1}) {
      timers.push_back(
          loop.after(milliseconds(delay), [&order, delay] { order.push_back(delay); }));
    }
  });
  EXPECT_TRUE(loop.poll());
  burn(milliseconds(15));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(order, (std::vector{1, 3, 6, 9}));
}

TEST_P(GuaranteesTime, G4_ZeroDelayFromATimerWaitsATurn) {
  Loop loop(options());
  int calls = 0;
  Timer timer;
  timer = loop.after(Duration::zero(), [&] {
    ++calls;
    timer.start(Duration::zero());
  });
  for (int turn = 1; turn <= 5; ++turn) {
    EXPECT_TRUE(loop.run_once(kLimit));
    EXPECT_EQ(calls, turn);
  }
}

TEST_P(GuaranteesTime, G4_ZeroDelayFromIoRunsInTheSameTurn) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  int fired = 0;
  Timer timer = loop.timer([&] { ++fired; });
  IoWatcher watcher = get(
      loop.watch(pipe.near.get(), Interest::read, [&](Ready) { timer.start(Duration::zero()); }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(fired, 1);
}

TEST_P(GuaranteesTime, G4_NegativeDelaysCountAsZero) {
  Loop loop(options());
  int fired = 0;
  Timer some = loop.after(milliseconds(-5), [&] { ++fired; });
  Timer most = loop.after(Duration::min(), [&] { ++fired; });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(fired, 2);
}

TEST_P(GuaranteesTime, G4_AHugeDelayNeverFiresAndHoldsNobodyUp) {
  Loop loop(options());
  int fired = 0;
  Timer never = loop.after(kForever, [&] { ++fired; });
  Timer hardly = loop.after(kForever - Duration(1), [&] { ++fired; });
  Timer ages = loop.every(hours(24 * 365 * 250), [&] { ++fired; });
  Timer soon = loop.after(milliseconds(5), [&] { loop.stop(); });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 0);
  EXPECT_TRUE(never.active());
}

TEST_P(GuaranteesTime, G4_NextTimeoutSaturates) {
  Loop loop(options());
  EXPECT_EQ(loop.next_timeout(), kForever);
  Timer never = loop.after(kForever, [] {});
  EXPECT_GT(loop.next_timeout(), hours(24 * 365 * 100));
  Timer soon = loop.after(hours(1), [] {});
  EXPECT_LE(loop.next_timeout(), hours(1) + milliseconds(1));
  EXPECT_GT(loop.next_timeout(), Duration::zero());
  Timer now = loop.after(Duration::zero(), [] {});
  EXPECT_EQ(loop.next_timeout(), Duration::zero());
}

TEST_P(GuaranteesTime, G4_NowStandsStillDuringABatchAndIsMonotonic) {
  Loop loop(options());
  TimePoint before = loop.now();
  Timer timer = loop.every(milliseconds(1), [&] {
    const TimePoint start = loop.now();
    EXPECT_GE(start, before);
    burn(microseconds(200));
    EXPECT_EQ(loop.now(), start);
    loop.update_now();
    EXPECT_GE(loop.now() - start, microseconds(200));
    before = loop.now();
  });
  EXPECT_TRUE(run_bounded(loop, [&] { return loop.stats().timers.get() >= 10; }));
}

// ---- Timer, besides G4 ----

TEST_P(GuaranteesTime, APeriodicTimerDoesNotDrift) {
  Loop loop(options());
  const TimePoint start = monotonic_now();
  int calls = 0;
  Timer timer;
  timer = loop.every(milliseconds(2), [&] {
    ++calls;
    EXPECT_GE(monotonic_now() - start, calls * milliseconds(2)) << "never early";
    if (calls >= 25) timer.stop();
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(calls, 25);
}

TEST_P(GuaranteesTime, MissedPeriodsAreMergedIntoOneCall) {
  Loop loop(options());
  constexpr Duration kPeriod = milliseconds(10);
  int calls = 0;
  const TimePoint start = monotonic_now();
  Timer timer = loop.every(kPeriod, [&] { ++calls; });
  burn(10 * kPeriod);
  const auto missed = (monotonic_now() - start) / kPeriod;
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(timer.active());
  EXPECT_LE(loop.next_timeout(), kPeriod + milliseconds(1));
  for (int turn = 0; turn < 8; ++turn) EXPECT_TRUE(loop.poll());
  const auto since = (monotonic_now() - start) / kPeriod - missed;
  // Allows one call for all missed periods, one for each period since, and one more because `start`
  // is a little before the timer's own start.
  EXPECT_LE(calls, 2 + since);
}

TEST_P(GuaranteesTime, APeriodOfZeroIsAPeriod) {
  Loop loop(options());
  int calls = 0;
  Timer timer = loop.every(Duration::zero(), [&] { ++calls; });
  EXPECT_TRUE(run_bounded(loop, [&] { return calls >= 3; }));
  EXPECT_TRUE(timer.active());
}

TEST_P(GuaranteesTime, StartingAgainMovesATimer) {
  Loop loop(options());
  int fired = 0;
  Timer timer = loop.timer([&] { ++fired; });
  EXPECT_FALSE(timer.active());
  EXPECT_TRUE(loop.run()) << "a timer that is not started keeps nobody waiting";
  timer.start(hours(1));
  EXPECT_TRUE(timer.active());
  timer.start(milliseconds(1));
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 1);
  EXPECT_FALSE(timer.active());
}

TEST_P(GuaranteesTime, AStoppedTimerWakesNobody) {
  Loop loop(options());
  std::vector<Timer> timers;
  for (int i = 0; i < 50; ++i) {
    timers.push_back(loop.after(milliseconds(i), [] { ADD_FAILURE() << "it was stopped"; }));
  }
  for (Timer& timer : timers) timer.stop();
  EXPECT_EQ(loop.next_timeout(), kForever);
  EXPECT_LE(run_for(loop, milliseconds(60)), 1);
  EXPECT_EQ(loop.stats().timers.get(), 0U);
}

TEST_P(GuaranteesTime, ATimerMayRestartOrStopItselfInItsCallback) {
  Loop loop(options());
  int fired = 0;
  Timer timer;
  timer = loop.every(milliseconds(1), [&] {
    ++fired;
    if (fired == 1) timer.start(milliseconds(1));  // no longer periodic
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 2);
  timer = loop.every(milliseconds(1), [&] {
    ++fired;
    timer.stop();
  });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(fired, 3);
}

// An idle timeout as a transport keeps it: a bare node that each event postpones.
class IdleNode final : public TimerNode {
 public:
  explicit IdleNode(Loop& loop) : loop_(loop) {}
  ~IdleNode() { loop_.disarm(*this); }
  void on_expire() override { expired_at = monotonic_now(); }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"idle", -1, {}, {}}; }
  TimePoint expired_at{};

 private:
  Loop& loop_;
};

TEST_P(GuaranteesTime, G4_APostponedNodeIsNeverEarly) {
  Loop loop(options());
  IdleNode node(loop);
  int events = 0;
  Timer traffic;
  // Both start inside one turn, so they count from the same now(), and the traffic always is due
  // first, however late a turn begins.
  Timer starter = loop.after(Duration::zero(), [&] {
    loop.arm(node, loop.now() + milliseconds(5));
    traffic = loop.every(milliseconds(1), [&] {
      loop.postpone(node, loop.now() + milliseconds(5));
      if (++events == 20) traffic.stop();
    });
  });
  ASSERT_TRUE(run_bounded(loop, [&] { return events > 0 && !node.armed(); }));
  EXPECT_EQ(events, 20);
  EXPECT_GE(node.expired_at, node.deadline());
  loop.arm(node, monotonic_now() + hours(1));
  EXPECT_TRUE(node.armed());
  loop.disarm(node);
  EXPECT_FALSE(node.armed());
}

// The postponed node still lies where its old deadline was. It must not keep the loop from waking
// for the timer between its two deadlines.
TEST_P(GuaranteesTime, G4_APostponedNodeHidesNobody) {
  Loop loop(options());
  IdleNode node(loop);
  const TimePoint start = monotonic_now();
  loop.arm(node, start + milliseconds(60));
  loop.postpone(node, start + hours(1));
  bool fired = false;
  Timer timer = loop.after(milliseconds(150), [&] { fired = true; });
  EXPECT_TRUE(run_bounded(loop, [&] { return fired; }));
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesTime, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
