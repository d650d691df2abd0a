// SPDX-License-Identifier: MIT
// The wheel against a sorted map, in long random histories. Each history is one seed.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "reactor/loop/timer_queue.h"

namespace reactor {
namespace {

constexpr Duration kTick = TimerQueue::kTick;

struct Node final : TimerNode {
  explicit Node(int number) : id(number) {}
  void on_expire() override {}
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"test", id, {}, {}}; }
  int id;
};

std::int64_t tick_of(TimePoint deadline) {
  return (deadline.time_since_epoch().count() + kTick.count() - 1) / kTick.count();
}

// Does to the queue and to a map the same things, and compares.
class History {
 public:
  explicit History(unsigned seed)
      : random_(seed),
        now_(std::chrono::seconds(1 + random_() % 100000)),
        queue_(now_),
        position_(now_.time_since_epoch().count() / kTick.count()) {
    for (int id = 0; id < 300; ++id) nodes_.push_back(std::make_unique<Node>(id));
  }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      Node& node = *nodes_[random_() % nodes_.size()];
      switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
          arm(node);
          break;
        case 3:
          disarm(node);
          break;
        case 4:
        case 5:
          postpone(node);
          break;
        case 6:
          look_ahead();
          break;
        case 7:
          advance();
          break;
      }
    }
    finish();
  }

 private:
  // {tick, order of start}; a tick that had passed at the start comes before all others.
  using Key = std::pair<std::int64_t, std::uint64_t>;

  Duration random_delay() {
    const auto bits = static_cast<int>(random_() % 42);  // from nanoseconds to an hour
    return Duration(static_cast<std::int64_t>(random_() & ((std::uint64_t{1} << bits) - 1)));
  }

  void arm(Node& node) {
    disarm(node);
    const bool past = random_() % 10 == 0;
    const TimePoint deadline =
        past ? now_ - random_delay() % now_.time_since_epoch() : now_ + random_delay();
    queue_.arm(node, deadline);
    enter(node, deadline);
  }

  void enter(Node& node, TimePoint deadline) {
    const std::int64_t tick = tick_of(deadline);
    keys_[node.id] = {tick <= position_ ? -1 : tick, ++starts_};
    model_.emplace(keys_[node.id], &node);
  }

  void disarm(Node& node) {
    queue_.disarm(node);
    if (const auto found = keys_.find(node.id); found != keys_.end()) {
      model_.erase(found->second);
      keys_.erase(found);
    }
    postponed_.erase(node.id);
    ASSERT_FALSE(node.armed());
  }

  void postpone(Node& node) {
    if (!node.armed()) return;
    const TimePoint before = node.deadline();
    const TimePoint deadline = now_ + random_delay();
    queue_.postpone(node, deadline);
    ASSERT_EQ(node.deadline(), deadline);
    // Due already, and still so: it keeps its place.
    if (keys_[node.id].first == -1 && deadline >= before && tick_of(deadline) <= position_) return;
    model_.erase(keys_[node.id]);
    enter(node, deadline);
    // Which of its tick's nodes it comes behind is decided when the old deadline passes.
    if (deadline >= before) postponed_.insert(node.id);
  }

  void look_ahead() {
    const TimePoint next = queue_.next_deadline();
    if (model_.empty()) {
      ASSERT_EQ(next, TimePoint::max());
      return;
    }
    const std::int64_t tick = model_.begin()->first.first;
    if (tick == -1) {
      ASSERT_EQ(next, TimePoint::min());
    } else {
      ASSERT_LE(next, TimePoint(tick * kTick)) << "it would sleep too long";
    }
  }

  void advance() {
    const auto kind = random_() % 4;
    if (kind == 0) {
      now_ += Duration(static_cast<std::int64_t>(random_() % 1000000));
    } else if (kind == 1) {
      now_ += random_delay();
    } else if (const TimePoint next = queue_.next_deadline(); next != TimePoint::max()) {
      now_ = std::max(now_, next);
    }
    expire();
  }

  void expire() {
    queue_.expire(now_);
    position_ = std::max(position_, now_.time_since_epoch().count() / kTick.count());
    Key before{-2, 0};
    while (TimerNode* taken = queue_.next_expired()) {
      Node& node = *static_cast<Node*>(taken);
      ASSERT_LE(node.deadline(), now_) << "early";
      ASSERT_TRUE(keys_.contains(node.id)) << "not armed";
      const Key key = keys_[node.id];
      ASSERT_LE(before.first, key.first) << "order of ticks";
      const bool comparable = before.first == key.first && !postponed_.contains(node.id);
      if (comparable) {
        ASSERT_LT(before.second, key.second) << "order of start";
      }
      if (!postponed_.contains(node.id)) before = key;
      disarm(node);
    }
    if (!model_.empty()) {
      ASSERT_GT(model_.begin()->first.first, position_) << "forgotten";
    }
  }

  void finish() {
    now_ += std::chrono::hours(3);
    expire();
    ASSERT_TRUE(model_.empty());
    ASSERT_EQ(queue_.next_deadline(), TimePoint::max());
  }

  std::mt19937_64 random_;
  TimePoint now_;
  std::vector<std::unique_ptr<Node>> nodes_;
  TimerQueue queue_;
  std::int64_t position_;
  std::uint64_t starts_ = 0;
  std::map<Key, Node*> model_;
  std::map<int, Key> keys_;
  std::set<int> postponed_;
};

class TimerQueueModel : public ::testing::TestWithParam<unsigned> {};

TEST_P(TimerQueueModel, BehavesAsASortedMap) {
  History history(GetParam());
  history.run(20000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TimerQueueModel, ::testing::Range(1U, 21U));

// What a loop does: it sleeps until next_deadline() and expires. Nothing may come later than the
// tick after its deadline, with any crowd.
TEST(TimerQueueSleeping, NothingIsMoreThanATickLate) {
  std::mt19937_64 random(7);
  TimePoint now{std::chrono::hours(3)};
  TimerQueue queue(now);
  std::vector<std::unique_ptr<Node>> nodes;
  for (int id = 0; id < 20000; ++id) {
    nodes.push_back(std::make_unique<Node>(id));
    const auto delay = static_cast<std::int64_t>(random() % 60000000000ULL);
    queue.arm(*nodes.back(), now + Duration(delay));
  }
  std::size_t expired = 0;
  int rounds = 0;
  for (TimePoint next = queue.next_deadline(); next != TimePoint::max();
       next = queue.next_deadline()) {
    ++rounds;
    now = std::max(now, next);
    queue.expire(now);
    while (TimerNode* node = queue.next_expired()) {
      ASSERT_GE(now, node->deadline());
      ASSERT_LT(now - node->deadline(), kTick);
      ++expired;
    }
  }
  EXPECT_EQ(expired, nodes.size());
  EXPECT_LT(rounds, 25000) << "few empty rounds: it wakes for nothing at most once a slot";
}

}  // namespace
}  // namespace reactor
