// SPDX-License-Identifier: MIT
// Compares the timer wheel with a sorted map in long random histories. Each seed makes one history.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "reactor/loop/timer_queue.h"

namespace reactor {
namespace {

struct ModelNode final : TimerNode {
  explicit ModelNode(int number) : id(number) {}
  void on_expire() override {}
  [[nodiscard]] Order order() const noexcept override { return place; }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"test", id, {}, {}}; }
  [[nodiscard]] bool has_place() const { return id % 10 != 0; }
  [[nodiscard]] bool started() const { return armed() && place != kStopped; }
  int id;
  Order place = kUnordered;
};

std::int64_t tick_of(TimePoint deadline) {
  return (deadline.time_since_epoch().count() + TimerQueue::kTick.count() - 1) /
         TimerQueue::kTick.count();
}

// Does the same things to the queue and to a map, and compares them.
class History {
 public:
  explicit History(unsigned seed)
      : random_(seed),
        most_bits_(seed % 2 == 0 ? kFar : kNear),
        now_(std::chrono::seconds(1 + random_() % 100000)),
        queue_(now_),
        position_(now_.time_since_epoch().count() / TimerQueue::kTick.count()) {
    for (int id = 0; id < 300; ++id) nodes_.push_back(std::make_unique<ModelNode>(id));
  }

  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure(); ++step) {
      ModelNode& node = *nodes_[random_() % nodes_.size()];
      switch (random_() % 10) {
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
          if (most_bits_ == kFar || random_() % 20 == 0) advance();
          break;
        case 8:
          disarm_lazily(node);
          break;
        case 9:
          restart(node);
          break;
      }
    }
    finish();
  }

 private:
  // {tick, order of start}. A tick that had already passed when the node was armed becomes -1.
  using Key = std::pair<std::int64_t, std::uint64_t>;

  // Bits of a random delay: kFar reaches from nanoseconds to an hour, kNear crowds all nodes into a
  // few ticks.
  static constexpr unsigned kFar = 42;
  static constexpr unsigned kNear = 23;

  Duration random_delay() {
    const auto bits = static_cast<int>(random_() % most_bits_);
    return Duration(static_cast<std::int64_t>(random_() & ((std::uint64_t{1} << bits) - 1)));
  }

  void start(ModelNode& node) {
    node.place = node.has_place() ? queue_.next_order() : TimerNode::kUnordered;
  }

  void arm(ModelNode& node) {
    disarm(node);
    start(node);
    const bool past = random_() % 10 == 0;
    const TimePoint deadline =
        past ? now_ - random_delay() % now_.time_since_epoch() : now_ + random_delay();
    queue_.arm(node, deadline);
    enter(node, deadline);
  }

  void enter(ModelNode& node, TimePoint deadline) {
    const std::int64_t tick = tick_of(deadline);
    keys_[node.id] = {tick <= position_ ? -1 : tick, ++starts_};
    model_.emplace(keys_[node.id], &node);
  }

  void disarm(ModelNode& node) {
    queue_.disarm(node);
    if (const auto found = keys_.find(node.id); found != keys_.end()) {
      model_.erase(found->second);
      keys_.erase(found);
    }
    ASSERT_FALSE(node.armed());
  }

  void disarm_lazily(ModelNode& node) {
    if (!node.started()) return;
    node.place = TimerNode::kStopped;
    queue_.disarm_lazily(node);
    model_.erase(keys_.extract(node.id).mapped());
  }

  // Does what a Timer does: it moves a node that is still in the wheel, even if the node was
  // stopped.
  void restart(ModelNode& node) {
    if (!node.armed()) return;
    if (node.started()) model_.erase(keys_[node.id]);
    start(node);
    const TimePoint deadline = random_() % 10 == 0 ? TimePoint{} : now_ + random_delay();
    queue_.postpone(node, deadline);
    ASSERT_EQ(node.deadline(), deadline);
    enter(node, deadline);
  }

  void postpone(ModelNode& node) {
    if (!node.started()) return;
    const TimePoint deadline = now_ + random_delay();
    start(node);
    queue_.postpone(node, deadline);
    ASSERT_EQ(node.deadline(), deadline);
    model_.erase(keys_[node.id]);
    enter(node, deadline);
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
      ASSERT_LE(next, TimePoint(tick * TimerQueue::kTick)) << "it would sleep too long";
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
    position_ = std::max(position_, now_.time_since_epoch().count() / TimerQueue::kTick.count());
    Key before{-2, 0};
    while (TimerNode* taken = queue_.next_expired()) {
      ModelNode& node = *static_cast<ModelNode*>(taken);
      ASSERT_LE(node.deadline(), now_) << "early";
      ASSERT_TRUE(keys_.contains(node.id)) << "not armed";
      const Key key = keys_[node.id];
      ASSERT_LE(before.first, key.first) << "order of ticks";
      if (node.has_place()) {
        if (before.first == key.first) {
          ASSERT_LT(before.second, key.second) << "order of start";
        }
        before = key;
      }
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
  unsigned most_bits_;
  TimePoint now_;
  std::vector<std::unique_ptr<ModelNode>> nodes_;
  TimerQueue queue_;
  std::int64_t position_;
  std::uint64_t starts_ = 0;
  std::map<Key, ModelNode*> model_;
  std::map<int, Key> keys_;
};

class TimerQueueModel : public ::testing::TestWithParam<unsigned> {};

TEST_P(TimerQueueModel, BehavesAsASortedMap) {
  History history(GetParam());
  history.run(20000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TimerQueueModel, ::testing::Range(1U, 21U));

// Does what a loop does: it sleeps until next_deadline() and expires. No node may be later than the
// tick after its deadline, however many nodes there are.
TEST(TimerQueueSleeping, NothingIsMoreThanATickLate) {
  std::mt19937_64 random(7);
  TimePoint now{std::chrono::hours(3)};
  TimerQueue queue(now);
  std::vector<std::unique_ptr<ModelNode>> nodes;
  for (int id = 0; id < 20000; ++id) {
    nodes.push_back(std::make_unique<ModelNode>(id));
    const auto delay = static_cast<std::int64_t>(random() % 60000000000ULL);
    queue.arm(*nodes.back(), now + Duration(delay));
  }
  std::size_t expired = 0;
  int rounds = 0;
  for (TimePoint next = queue.next_deadline(); next != TimePoint::max();
       next = queue.next_deadline()) {
    ASSERT_LT(++rounds, 25000) << "it wakes for nothing at most once a bucket";
    now = std::max(now, next);
    queue.expire(now);
    while (TimerNode* node = queue.next_expired()) {
      ASSERT_GE(now, node->deadline());
      ASSERT_LT(now - node->deadline(), TimerQueue::kTick);
      ++expired;
    }
  }
  EXPECT_EQ(expired, nodes.size());
}

}  // namespace
}  // namespace reactor
