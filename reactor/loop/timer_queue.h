// SPDX-License-Identifier: MIT
// TimerQueue is a hierarchical timing wheel of intrusive nodes, without a periodic tick. It never
// allocates. Insert, cancel and re-arm touch the node, its neighbours and one bucket.
//
//   level 0: 1024 buckets of one tick (2^19 ns = 0.52 ms), together 0.54 s
//   level 1: 64 buckets of 1024 ticks, 34 s; level 2: 64 buckets of 64 times that, 37 min; ...
//   level 6: together all of 2^63 ns
//
// A node lies on the lowest level that reaches its tick from the wheel's position. A node that is
// due within half a second is therefore linked only once. A node moves down at most once per level,
// when the position enters its bucket. Bitmaps find the next occupied bucket; that search also
// clears the bits of emptied buckets.
//
// Most timers are postponed or stopped long before they are due. So both can be done lazily, by one
// store in the node, which stays in its bucket. When the wheel reaches that bucket, the node moves
// on or is dropped.
//
// Nodes of one tick expire in the order of their starts (G4). If a postponed node may be out of
// order in a bucket of level 0, the bucket is marked as mixed and is sorted when it is due.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "reactor/base/clock.h"
#include "reactor/base/intrusive_list.h"
#include "reactor/loop/dispatchable.h"

namespace reactor {

// A timer node is a base or member of the object that it belongs to. The owner must disarm the node
// before destroying it. 32 bytes.
class TimerNode : public Dispatchable, public ListLink {
 public:
  // A node's position among the nodes of one tick; the lowest expires first.
  using Order = std::uint64_t;
  static constexpr Order kStopped = 0;    // stopped: dropped when its deadline comes
  static constexpr Order kUnordered = 1;  // before all nodes that have a position

  TimerNode() = default;
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;

  // Called when the deadline has passed. The node is already disarmed; the call may arm it again or
  // destroy it.
  virtual void on_expire() = 0;
  [[nodiscard]] virtual Order order() const noexcept { return kUnordered; }

  [[nodiscard]] bool armed() const noexcept { return linked(); }
  [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }

 protected:
  ~TimerNode() = default;

  // Does what TimerQueue::postpone() does for the price of one store. A deadline that is not later
  // than the present one is ignored. Has no effect on a disarmed node.
  void postpone_lazily(TimePoint later) noexcept {
    if (later > deadline_) deadline_ = later;
  }

 private:
  friend class TimerQueue;
  TimePoint deadline_{};
};

// A TimerQueue belongs to one Loop and is not thread-safe.
class TimerQueue {
 public:
  static constexpr int kTickShift = 19;
  static constexpr Duration kTick{std::int64_t{1} << kTickShift};

  explicit TimerQueue(TimePoint now) noexcept;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();

  // Returns the order() for a node that is being started: after all that were returned before.
  [[nodiscard]] TimerNode::Order next_order() noexcept { return ++order_; }

  // Arms a node that is not armed. It expires at the first tick at or after `deadline`, never
  // earlier. A node whose deadline is in the past expires in the next round that begins.
  void arm(TimerNode& node, TimePoint deadline) noexcept;

  // Disarms a node, even one that is in the current round. Does nothing if it is not armed.
  void disarm(TimerNode& node) noexcept {
    forget_wait(node);
    node.unlink();
  }

  // Disarms a node that the loop calls without the wheel (Loop::call_soon()). Its deadline becomes
  // TimePoint::min(), so that the owner can tell that a call is pending.
  void withdraw(TimerNode& node) noexcept {
    disarm(node);
    node.deadline_ = TimePoint::min();
  }

  // Disarms lazily a node whose order() is kStopped from now on.
  void disarm_lazily(TimerNode& node) noexcept {
    if (may_be_due(node)) {
      disarm(node);
    } else {
      forget_wait(node);
    }
  }

  // Moves the deadline of an armed node. A later deadline is set lazily.
  void postpone(TimerNode& node, TimePoint deadline) noexcept {
    if (deadline < node.deadline_ || may_be_due(node)) {
      disarm(node);
      arm(node, deadline);
    } else {
      forget_wait(node);
      const bool near = deadline - round_end_ < kFirstBuckets * kTick;
      if (near && ceil_tick(deadline) == ceil_tick(node.deadline_)) mark_mixed(deadline);
      node.deadline_ = deadline;
    }
  }

  // Begins a round, which takes all nodes whose tick is not after `now`, in order. Nodes that are
  // armed from here on wait for the next round (G4, G10). Nodes left over from the last round are
  // taken first.
  void expire(TimePoint now) noexcept;

  // Takes the next node of the round and disarms it. Returns null at the end of the round.
  [[nodiscard]] TimerNode* next_expired() noexcept;

  // Returns the time at which expire() next has something to do:
  //   TimePoint::min()  if a node is already due
  //   TimePoint::max()  if no node is armed
  //   otherwise the earliest deadline, rounded up to a tick. The result may be an earlier time if
  //   many nodes lie in one bucket of a higher level or were postponed lazily.
  [[nodiscard]] TimePoint next_deadline() noexcept;

 private:
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kBuckets = 1U << kBits;
  static constexpr unsigned kFirstBits = 10;
  static constexpr unsigned kFirstBuckets = 1U << kFirstBits;
  static constexpr std::size_t kLevels = 7;
  static constexpr std::size_t kFirstWords = kFirstBuckets / 64;
  using Tick = std::uint64_t;

  [[nodiscard]] static Tick floor_tick(TimePoint at) noexcept {
    return static_cast<Tick>(at.time_since_epoch().count()) >> kTickShift;
  }
  [[nodiscard]] static Tick ceil_tick(TimePoint at) noexcept {
    const auto since = std::max(at.time_since_epoch().count(), Duration::rep{0});
    return (static_cast<Tick>(since) + (Tick{1} << kTickShift) - 1) >> kTickShift;
  }
  [[nodiscard]] static TimePoint time_of(Tick tick) noexcept;
  // Returns the bit of a tick at which the bucket number of `level` begins.
  [[nodiscard]] static unsigned shift_of(std::size_t level) noexcept {
    return level == 0 ? 0 : kFirstBits + kBits * static_cast<unsigned>(level - 1);
  }
  // Returns whether the node may belong to this round or wait for the next one.
  [[nodiscard]] bool may_be_due(const TimerNode& node) const noexcept {
    return node.deadline_ <= round_end_;
  }
  // Drops the cached answer of next_deadline() if it may depend on this node.
  void forget_wait(const TimerNode& node) noexcept {
    if (node.deadline_ <= wait_until_) wait_known_ = false;
  }
  // Marks the bucket of a tick as mixed: its nodes may not be in the order of their starts. Higher
  // levels need no mark, because each node that moves down from them is compared with its new
  // neighbour.
  void mark_mixed(TimePoint deadline) noexcept {
    const Tick tick = ceil_tick(deadline);
    if (tick - position_ >= kFirstBuckets) return;
    mixed_[tick % kFirstBuckets / 64] |= std::uint64_t{1} << (tick % 64);
  }
  IntrusiveList& list_for(Tick tick) noexcept;
  IntrusiveList& bucket_at(std::size_t level, Tick tick) noexcept;
  void visit(std::size_t level, Tick start) noexcept;
  void bring_down(IntrusiveList& bucket) noexcept;
  void move_on(TimerNode& node) noexcept;
  [[nodiscard]] Tick find_bucket(std::size_t& level) noexcept;
  [[nodiscard]] Tick next_on(std::size_t level) noexcept;
  [[nodiscard]] Tick next_on_first() noexcept;
  [[nodiscard]] Tick earliest() noexcept;
  [[nodiscard]] Tick earliest_in(std::size_t level, Tick start, int& steps) noexcept;

  static constexpr Tick kNever = ~Tick{0};

  Tick position_;              // all ticks up to and including this one have been visited
  Tick target_;                // the last tick of the round
  TimePoint round_end_;        // the time of the round
  Tick quiet_until_ = kNever;  // no occupied bucket begins before this tick
  TimePoint wait_until_ = TimePoint::max();  // the last answer of next_deadline(),
  bool wait_known_ = true;                   // and whether it still holds
  unsigned levels_ = 0;                      // one bit for each level that may be occupied
  TimerNode::Order order_ = TimerNode::kUnordered;
  std::array<std::uint64_t, kFirstWords> first_occupied_{};
  std::array<std::uint64_t, kFirstWords> mixed_{};
  std::array<std::uint64_t, kLevels> occupied_{};  // the first element is not used
  std::array<IntrusiveList, kFirstBuckets> first_;
  std::array<std::array<IntrusiveList, kBuckets>, kLevels - 1> higher_;
  IntrusiveList overdue_;  // armed for a tick of the round or before; come first in the next round
  IntrusiveList round_;    // nodes of the ticks up to the position that are not yet taken
};

}  // namespace reactor
