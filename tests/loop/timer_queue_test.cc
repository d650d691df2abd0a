// SPDX-License-Identifier: MIT
// Tests the timer wheel by itself, under a clock that the test moves.
#include "reactor/loop/timer_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace reactor {
namespace {

constexpr Duration kTick = TimerQueue::kTick;
constexpr TimePoint kStart{34567890 * kTick};  // about five hours, exactly at a tick

struct Node final : TimerNode {
  explicit Node(int number = 0, Order starts_as = kUnordered) : id(number), place(starts_as) {}
  void on_expire() override {}
  [[nodiscard]] Order order() const noexcept override { return place; }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"test", id, {}, {}}; }
  int id;
  Order place;
};

// Takes all expired nodes of the round. Returns their ids in order.
std::vector<int> take_round(TimerQueue& queue) {
  std::vector<int> ids;
  while (TimerNode* node = queue.next_expired()) ids.push_back(static_cast<Node*>(node)->id);
  return ids;
}

std::vector<int> expire(TimerQueue& queue, TimePoint now) {
  queue.expire(now);
  return take_round(queue);
}

using Ids = std::vector<int>;

TEST(TimerQueue, AnEmptyOneWaitsForNothing) {
  TimerQueue queue(kStart);
  EXPECT_EQ(queue.next_deadline(), TimePoint::max());
  EXPECT_TRUE(expire(queue, kStart + std::chrono::hours(1)).empty());
  EXPECT_EQ(queue.next_deadline(), TimePoint::max());
}

TEST(TimerQueue, ANodeIsNeverEarlyAndAtMostATickLate) {
  for (const Duration delay : {Duration(1), kTick - Duration(1), kTick, kTick + Duration(1),
                               64 * kTick, Duration(std::chrono::seconds(100))}) {
    TimerQueue queue(kStart);
    Node node;
    queue.arm(node, kStart + delay);
    EXPECT_TRUE(node.armed());
    EXPECT_EQ(node.deadline(), kStart + delay);
    EXPECT_TRUE(expire(queue, kStart + delay - Duration(1)).empty()) << delay.count();
    EXPECT_EQ(expire(queue, kStart + delay + kTick).size(), 1U) << delay.count();
    EXPECT_FALSE(node.armed());
  }
}

TEST(TimerQueue, ZeroAndPastDeadlinesExpireAtTheNextRound) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2)};
  queue.arm(nodes[0], kStart);
  queue.arm(nodes[1], kStart - std::chrono::hours(1));
  queue.arm(nodes[2], TimePoint{});
  EXPECT_EQ(queue.next_deadline(), TimePoint::min());
  EXPECT_EQ(expire(queue, kStart), (Ids{0, 1, 2}));
}

// A deadline may lie before the zero of the clock, which is when the machine booted.
TEST(TimerQueue, DeadlinesBeforeTheClocksZeroAreInThePast) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1)};
  queue.arm(nodes[0], TimePoint(Duration(-1)));
  queue.arm(nodes[1], TimePoint::min());
  EXPECT_EQ(queue.next_deadline(), TimePoint::min());
  EXPECT_EQ(expire(queue, kStart + kTick), (Ids{0, 1}));
}

TEST(TimerQueue, OrderIsByTickThenByStart) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2), Node(3)};
  queue.arm(nodes[0], kStart + 9 * kTick);
  queue.arm(nodes[1], kStart + 3 * kTick);
  queue.arm(nodes[2], kStart + 9 * kTick - Duration(5));  // the same tick as the first
  queue.arm(nodes[3], kStart + 3 * kTick);
  EXPECT_EQ(expire(queue, kStart + 20 * kTick), (Ids{1, 3, 0, 2}));
}

// The first node is armed while its tick is on a high level of the wheel, the others when the tick
// has come nearer.
TEST(TimerQueue, OrderOfStartSurvivesTheWayDownTheLevels) {
  for (const std::int64_t far : {100, 5000, 300000, 20000000}) {
    TimerQueue queue(kStart);
    std::array nodes{Node(0), Node(1), Node(2)};
    const TimePoint deadline = kStart + far * kTick;
    queue.arm(nodes[0], deadline);
    EXPECT_TRUE(expire(queue, kStart + far * kTick / 2).empty());
    queue.arm(nodes[1], deadline);
    EXPECT_TRUE(expire(queue, deadline - 2 * kTick).empty());
    queue.arm(nodes[2], deadline);
    EXPECT_EQ(expire(queue, deadline + kTick), (Ids{0, 1, 2})) << far;
  }
}

TEST(TimerQueue, LevelBoundariesAreNothingSpecial) {
  std::int64_t edge = 1;
  for (int level = 0; level < 7; ++level, edge *= 64) {
    for (const std::int64_t ticks : {edge - 1, edge, edge + 1}) {
      // Starts just before, at, and just after a boundary of that level.
      for (const std::int64_t offset : {-1, 0, 1}) {
        const TimePoint from{(edge * 64 + offset) * kTick};
        TimerQueue queue(from);
        Node node;
        const TimePoint deadline = from + ticks * kTick;
        queue.arm(node, deadline);
        if (ticks > 0) {
          EXPECT_TRUE(expire(queue, deadline - Duration(1)).empty());
        }
        EXPECT_EQ(expire(queue, deadline).size(), 1U) << ticks << " from " << offset;
      }
    }
  }
}

TEST(TimerQueue, ALongLeapExpiresAllInOrder) {
  TimerQueue queue(kStart);
  std::vector<std::unique_ptr<Node>> nodes;
  Ids expected;
  std::int64_t ticks = 1;
  for (int id = 0; id < 20; ++id, ticks *= 3) {
    nodes.push_back(std::make_unique<Node>(id));
    queue.arm(*nodes.back(), kStart + ticks * kTick);
    expected.push_back(id);
  }
  EXPECT_EQ(expire(queue, kStart + ticks * kTick), expected);
  EXPECT_EQ(queue.next_deadline(), TimePoint::max());
}

TEST(TimerQueue, HugeDeadlinesNeverExpireAndHoldNobodyUp) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2)};
  queue.arm(nodes[0], TimePoint::max());
  EXPECT_EQ(queue.next_deadline(), TimePoint::max());
  queue.arm(nodes[1], TimePoint::max() - Duration(1));
  queue.arm(nodes[2], kStart + std::chrono::seconds(1));
  EXPECT_EQ(expire(queue, kStart + std::chrono::hours(24 * 365 * 100)), Ids{2});
  EXPECT_TRUE(nodes[0].armed());
  queue.disarm(nodes[0]);
  queue.disarm(nodes[1]);
}

TEST(TimerQueue, DisarmIsRepeatable) {
  TimerQueue queue(kStart);
  Node node;
  queue.disarm(node);
  queue.arm(node, kStart + kTick);
  queue.disarm(node);
  queue.disarm(node);
  EXPECT_FALSE(node.armed());
  EXPECT_EQ(queue.next_deadline(), TimePoint::max());
  EXPECT_TRUE(expire(queue, kStart + 10 * kTick).empty());
}

TEST(TimerQueue, DisarmTakesANodeOutOfTheRoundUnderWay) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2)};
  for (Node& node : nodes) queue.arm(node, kStart + kTick);
  queue.expire(kStart + kTick);
  ASSERT_EQ(queue.next_expired(), &nodes[0]);
  queue.disarm(nodes[1]);
  EXPECT_EQ(take_round(queue), Ids{2});
}

TEST(TimerQueue, WhatIsArmedDuringARoundWaitsForTheNext) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1)};
  queue.arm(nodes[0], kStart + kTick);
  queue.expire(kStart + kTick);
  ASSERT_EQ(queue.next_expired(), &nodes[0]);
  queue.arm(nodes[0], kStart);
  queue.arm(nodes[1], kStart + kTick);
  EXPECT_EQ(queue.next_expired(), nullptr);
  EXPECT_EQ(queue.next_deadline(), TimePoint::min());
  EXPECT_EQ(expire(queue, kStart + kTick), (Ids{0, 1}));
}

TEST(TimerQueue, ARoundThatWasLeftGoesFirstInTheNext) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2)};
  queue.arm(nodes[0], kStart + kTick);
  queue.arm(nodes[1], kStart + kTick);
  queue.expire(kStart + kTick);
  ASSERT_EQ(queue.next_expired(), &nodes[0]);
  EXPECT_EQ(queue.next_deadline(), TimePoint::min()) << "one is due";
  queue.arm(nodes[2], kStart);
  EXPECT_EQ(expire(queue, kStart + 2 * kTick), (Ids{1, 2}));
}

TEST(TimerQueue, PostponingIsObeyed) {
  TimerQueue queue(kStart);
  Node node;
  queue.arm(node, kStart + 10 * kTick);
  queue.postpone(node, kStart + 5000 * kTick);
  EXPECT_EQ(node.deadline(), kStart + 5000 * kTick);
  EXPECT_TRUE(expire(queue, kStart + 4999 * kTick).empty());
  EXPECT_TRUE(node.armed());
  EXPECT_EQ(expire(queue, kStart + 5000 * kTick).size(), 1U);
}

TEST(TimerQueue, OrderOfStartSurvivesPostponing) {
  for (const std::int64_t ticks : {20, 1023, 1024, 5000, 300000}) {
    TimerQueue queue(kStart);
    std::vector<std::unique_ptr<Node>> nodes;
    const TimePoint due = kStart + ticks * kTick;
    for (int id = 0; id < 100; ++id) {
      nodes.push_back(std::make_unique<Node>(id, queue.next_order()));
      queue.arm(*nodes.back(), kStart + (id % 3 == 0 ? due - kStart : (ticks - id % 7) * kTick));
    }
    Ids expected;
    for (int id = 99; id >= 0; id -= 2) {
      nodes[static_cast<std::size_t>(id)]->place = queue.next_order();
      queue.postpone(*nodes[static_cast<std::size_t>(id)], due);
      expected.push_back(id);
    }
    Ids fired = expire(queue, due - kTick);
    const Ids last = expire(queue, due);
    ASSERT_GE(last.size(), expected.size()) << ticks;
    EXPECT_EQ(Ids(last.end() - static_cast<std::ptrdiff_t>(expected.size()), last.end()), expected)
        << ticks;
    EXPECT_EQ(fired.size() + last.size(), nodes.size()) << ticks;
  }
}

TEST(TimerQueue, WhatIsDisarmedLazilyNeverExpiresAndIsWaitedForByNobody) {
  for (const std::int64_t ticks : {0, 1, 20, 1023, 1024, 300000}) {
    TimerQueue queue(kStart);
    std::array nodes{Node(0), Node(1)};
    queue.arm(nodes[0], kStart + ticks * kTick);
    queue.arm(nodes[1], kStart + (ticks + 1) * kTick);
    nodes[0].place = TimerNode::kStopped;
    queue.disarm_lazily(nodes[0]);
    EXPECT_EQ(queue.next_deadline(), kStart + (ticks + 1) * kTick) << ticks;
    EXPECT_EQ(expire(queue, kStart + (ticks + 1) * kTick), Ids{1}) << ticks;
    EXPECT_EQ(queue.next_deadline(), TimePoint::max()) << ticks;
    EXPECT_FALSE(nodes[0].armed()) << ticks;
  }
}

TEST(TimerQueue, WhatWasDisarmedLazilyCanBeArmedAgain) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2)};
  for (Node& node : nodes) {
    queue.arm(node, kStart + 10 * kTick);
    node.place = TimerNode::kStopped;
    queue.disarm_lazily(node);
    node.place = queue.next_order();
  }
  queue.postpone(nodes[0], kStart + 5 * kTick);
  queue.postpone(nodes[1], kStart + 10 * kTick);
  queue.postpone(nodes[2], kStart + 15 * kTick);
  EXPECT_EQ(expire(queue, kStart + 9 * kTick), Ids{0});
  EXPECT_EQ(expire(queue, kStart + 14 * kTick), Ids{1});
  EXPECT_EQ(expire(queue, kStart + 15 * kTick), Ids{2});
}

TEST(TimerQueue, WhatIsDisarmedLazilyInTheRoundUnderWayDoesNotExpire) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0, 2), Node(1, 3), Node(2, 4)};
  queue.arm(nodes[0], kStart);
  for (std::size_t i : {1U, 2U}) queue.arm(nodes[i], kStart + kTick);
  queue.expire(kStart + kTick);
  ASSERT_EQ(queue.next_expired(), &nodes[0]);
  nodes[1].place = TimerNode::kStopped;
  queue.disarm_lazily(nodes[1]);
  EXPECT_EQ(take_round(queue), Ids{2});
}

TEST(TimerQueue, PostponingAgainAndAgainNeverExpires) {
  TimerQueue queue(kStart);
  Node node;
  TimePoint now = kStart;
  queue.arm(node, now + 10 * kTick);
  for (int i = 0; i < 10000; ++i) {
    now += 7 * kTick;
    ASSERT_TRUE(expire(queue, now).empty());
    queue.postpone(node, now + 10 * kTick);
  }
  EXPECT_EQ(expire(queue, now + 10 * kTick).size(), 1U);
}

TEST(TimerQueue, PostponingToAnEarlierDeadlineMovesIt) {
  TimerQueue queue(kStart);
  Node node;
  queue.arm(node, kStart + 5000 * kTick);
  queue.postpone(node, kStart + 10 * kTick);
  EXPECT_LE(queue.next_deadline(), kStart + 11 * kTick);
  EXPECT_EQ(expire(queue, kStart + 10 * kTick).size(), 1U);
}

TEST(TimerQueue, ANodeThatIsPostponedWhileItIsDueIsNotEarly) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1), Node(2)};
  for (Node& node : nodes) queue.arm(node, kStart + kTick);
  queue.expire(kStart + kTick);
  ASSERT_EQ(queue.next_expired(), &nodes[0]);
  queue.postpone(nodes[1], kStart + 10 * kTick);  // expired, but not yet taken
  // to the deadline that it has: it expires in the next round
  queue.postpone(nodes[2], kStart + kTick);
  EXPECT_TRUE(take_round(queue).empty());
  queue.arm(nodes[0], kStart);
  queue.postpone(nodes[0], kStart + 5 * kTick);  // before the round begins
  EXPECT_EQ(expire(queue, kStart + 4 * kTick), Ids{2});
  EXPECT_EQ(expire(queue, kStart + 10 * kTick), (Ids{0, 1}));
}

// The postponed node still lies in an early bucket. It must not hide the nodes in later buckets.
TEST(TimerQueue, NextDeadlineLooksPastAPostponedNode) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1)};
  queue.arm(nodes[0], kStart + 100 * kTick);
  queue.arm(nodes[1], kStart + 1000 * kTick);
  queue.postpone(nodes[0], kStart + 100000 * kTick);
  EXPECT_LE(queue.next_deadline(), kStart + 1000 * kTick);
  EXPECT_TRUE(expire(queue, kStart + 999 * kTick).empty());
  EXPECT_EQ(expire(queue, kStart + 1000 * kTick), Ids{1});
}

// The queue caches the next deadline, so every change has to update it.
TEST(TimerQueue, NextDeadlineFollowsEveryChange) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1)};
  const auto ticks = [&] { return (queue.next_deadline() - kStart) / kTick; };
  queue.arm(nodes[0], kStart + 100 * kTick);
  EXPECT_EQ(ticks(), 100);
  queue.arm(nodes[1], kStart + 50 * kTick);
  EXPECT_EQ(ticks(), 50);
  queue.postpone(nodes[1], kStart + 70 * kTick);
  EXPECT_EQ(ticks(), 70);
  queue.postpone(nodes[1], kStart + 60 * kTick);
  EXPECT_EQ(ticks(), 60);
  queue.postpone(nodes[1], kStart + 5000 * kTick);
  EXPECT_EQ(ticks(), 100);
  EXPECT_EQ(expire(queue, kStart + 100 * kTick), Ids{0});
  EXPECT_EQ(ticks(), 5000);
  queue.disarm(nodes[1]);
  EXPECT_EQ(queue.next_deadline(), TimePoint::max());
}

TEST(TimerQueue, NextDeadlineIsExactToTheTickIfBucketsHoldFewNodes) {
  for (const std::int64_t ticks : {1, 63, 64, 65, 4095, 4097, 300001, 20000003}) {
    TimerQueue queue(kStart);
    Node node;
    const TimePoint deadline = kStart + ticks * kTick + Duration(3);
    queue.arm(node, deadline);
    EXPECT_GE(queue.next_deadline(), deadline) << ticks;
    EXPECT_LE(queue.next_deadline(), deadline + kTick) << ticks;
    queue.disarm(node);
  }
}

// With many nodes in one far bucket, next_deadline() may be too early. Asking again must reach the
// deadline in a few steps.
TEST(TimerQueue, FollowingNextDeadlineReachesACrowdInAFewSteps) {
  TimerQueue queue(kStart);
  std::vector<std::unique_ptr<Node>> nodes;
  const TimePoint deadline = kStart + 20000003 * kTick;
  for (int id = 0; id < 1000; ++id) {
    nodes.push_back(std::make_unique<Node>(id));
    queue.arm(*nodes.back(), deadline);
  }
  std::size_t expired = 0;
  int steps = 0;
  TimePoint now = kStart;
  for (; expired < nodes.size() && steps < 20; ++steps) {
    const TimePoint next = queue.next_deadline();
    ASSERT_LE(next, deadline + kTick);
    now = std::max(now, next);
    const std::size_t round = expire(queue, now).size();
    if (round > 0) {
      ASSERT_GE(now, deadline);
    }
    expired += round;
  }
  EXPECT_EQ(expired, nodes.size());
  EXPECT_LE(steps, 8) << "one step a level";
}

TEST(TimerQueue, AQueueThatDiesDisarmsItsNodes) {
  std::array nodes{Node(0), Node(1), Node(2), Node(3)};
  {
    TimerQueue queue(kStart);
    queue.arm(nodes[0], kStart + kTick);
    queue.arm(nodes[1], kStart + 100000 * kTick);
    queue.arm(nodes[2], kStart - kTick);
    queue.arm(nodes[3], kStart);
    queue.expire(kStart + kTick);  // leaves some nodes expired but not taken
  }
  for (const Node& node : nodes) EXPECT_FALSE(node.armed()) << node.id;
}

TEST(TimerQueue, AClockThatStandsStillStillExpiresWhatIsDue) {
  TimerQueue queue(kStart);
  Node node;
  queue.arm(node, kStart);
  EXPECT_EQ(expire(queue, kStart).size(), 1U);
  queue.arm(node, kStart);
  EXPECT_EQ(expire(queue, kStart).size(), 1U);
}

TEST(TimerQueue, AClockThatStepsBackHarmsNothing) {
  TimerQueue queue(kStart);
  std::array nodes{Node(0), Node(1)};
  queue.arm(nodes[0], kStart + 10 * kTick);
  queue.arm(nodes[1], kStart + 30 * kTick);
  EXPECT_EQ(expire(queue, kStart + 20 * kTick), Ids{0});
  EXPECT_TRUE(expire(queue, kStart).empty());
  EXPECT_EQ(expire(queue, kStart + 30 * kTick), Ids{1});
}

}  // namespace
}  // namespace reactor
