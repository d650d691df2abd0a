// SPDX-License-Identifier: MIT
// TimerQueue: a hierarchical wheel of intrusive nodes, tickless. No allocation, ever; insert,
// cancel and re-arm touch the node, its neighbours and one slot.
//
//   level 0: 1024 slots of one tick (2^19 ns = 0.52 ms), together 0.54 s
//   level 1: 64 slots of 1024 ticks, 34 s; level 2: 64 slots of 64 times that, 37 min; ...
//   level 6: together all of 2^63 ns
//
// A node lies on the lowest level that reaches its tick from the wheel's position, so what is due
// within half a second is linked once. It moves down at most once a level, when the position enters
// its slot. Bitmaps find the next occupied slot; bits of emptied slots are cleared by that search.
//
// Most timers are moved or stopped long before they are due, so both can be done lazily: a store in
// the node, which stays where it lies until the wheel comes by and then goes on, or is dropped.
// Nodes of one tick expire in the order of their starts (G4): a slot of level 0 to which one came
// that was moved is marked as mixed, and sorted when it is due.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "reactor/base/clock.h"
#include "reactor/base/intrusive_list.h"
#include "reactor/loop/dispatchable.h"

namespace reactor {

// A timer that lies in the object it belongs to. The owner disarms it before it dies. 32 bytes.
class TimerNode : public Dispatchable, public ListLink {
 public:
  // Its place among the nodes of one tick, the lowest first.
  using Order = std::uint64_t;
  static constexpr Order kStopped = 0;    // not wanted any more: dropped when its deadline comes
  static constexpr Order kUnordered = 1;  // before those that have a place

  TimerNode() = default;
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;

  // The deadline has passed and the node is disarmed; it may be armed again, or destroyed.
  virtual void on_expire() = 0;
  [[nodiscard]] virtual Order order() const noexcept { return kUnordered; }

  [[nodiscard]] bool armed() const noexcept { return linked(); }
  [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }

 protected:
  ~TimerNode() = default;

  // TimerQueue::postpone() to a deadline that is later, or not earlier than, the present one, for
  // the price of a store. Means nothing while disarmed.
  void postpone_lazily(TimePoint later) noexcept {
    if (later > deadline_) deadline_ = later;
  }

 private:
  friend class TimerQueue;
  TimePoint deadline_{};
};

// Not thread-safe; belongs to one Loop.
class TimerQueue {
 public:
  static constexpr int kTickShift = 19;
  static constexpr Duration kTick{std::int64_t{1} << kTickShift};

  explicit TimerQueue(TimePoint now) noexcept;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();

  // For the order() of a node that is being started: behind all that were given before.
  [[nodiscard]] TimerNode::Order next_order() noexcept { return ++order_; }

  // Arms a node that is not armed. It expires at the first tick at or after `deadline`, never
  // before it; one that lies in the past expires at the next expire() that is not under way.
  void arm(TimerNode& node, TimePoint deadline) noexcept;

  // Disarms; nothing happens where it is not armed. Also takes it out of a round under way.
  void disarm(TimerNode& node) noexcept {
    forget_wait(node);
    node.unlink();
  }

  // The same, lazily, for a node whose order() is kStopped from now on.
  void disarm_lazily(TimerNode& node) noexcept {
    if (may_be_due(node)) {
      disarm(node);
    } else {
      forget_wait(node);
    }
  }

  // Moves the deadline of an armed node; a later one lazily.
  void postpone(TimerNode& node, TimePoint deadline) noexcept {
    if (deadline < node.deadline_ || may_be_due(node)) {
      disarm(node);
      arm(node, deadline);
    } else {
      forget_wait(node);
      const bool near = deadline - round_end_ < kFirstSlots * kTick;
      if (near && ceil_tick(deadline) == ceil_tick(node.deadline_)) mark_mixed(deadline);
      node.deadline_ = deadline;
    }
  }

  // Begins a round: of all nodes whose tick is not after `now`, in order. Those armed from here on
  // wait for the next call (G4, G10). What the last round left over comes first.
  void expire(TimePoint now) noexcept;

  // Takes the next node of the round and disarms it; null where the round is over.
  [[nodiscard]] TimerNode* next_expired() noexcept;

  // The earliest point at which expire() has something to do, not before a deadline and at most a
  // tick after it; TimePoint::min() where a node is due already, TimePoint::max() where none is
  // armed. May be early where many nodes lie in one slot of a higher level or were moved lazily.
  [[nodiscard]] TimePoint next_deadline() noexcept;

 private:
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlots = 1U << kBits;
  static constexpr unsigned kFirstBits = 10;
  static constexpr unsigned kFirstSlots = 1U << kFirstBits;
  static constexpr std::size_t kLevels = 7;
  static constexpr std::size_t kFirstWords = kFirstSlots / 64;
  using Tick = std::uint64_t;

  [[nodiscard]] static Tick floor_tick(TimePoint at) noexcept {
    return static_cast<Tick>(at.time_since_epoch().count()) >> kTickShift;
  }
  [[nodiscard]] static Tick ceil_tick(TimePoint at) noexcept {
    const auto since = std::max(at.time_since_epoch().count(), Duration::rep{0});
    return (static_cast<Tick>(since) + (Tick{1} << kTickShift) - 1) >> kTickShift;
  }
  [[nodiscard]] static TimePoint time_of(Tick tick) noexcept;
  // Where a level's ticks begin in a tick's bits.
  [[nodiscard]] static unsigned shift_of(std::size_t level) noexcept {
    return level == 0 ? 0 : kFirstBits + kBits * static_cast<unsigned>(level - 1);
  }
  // Whether the node is in the round, or in the next already.
  [[nodiscard]] bool may_be_due(const TimerNode& node) const noexcept {
    return node.deadline_ <= round_end_;
  }
  // The answer of next_deadline() does not hold without this node.
  void forget_wait(const TimerNode& node) noexcept {
    if (node.deadline_ <= wait_until_) wait_known_ = false;
  }
  // What lies in the slot of a tick may be in another order than that of the starts. On the higher
  // levels nothing is marked: what comes down from there is looked at.
  void mark_mixed(TimePoint deadline) noexcept {
    const Tick tick = ceil_tick(deadline);
    if (tick - position_ >= kFirstSlots) return;
    mixed_[tick % kFirstSlots / 64] |= std::uint64_t{1} << (tick % 64);
  }
  IntrusiveList& list_for(Tick tick) noexcept;
  IntrusiveList& slot_at(std::size_t level, Tick tick) noexcept;
  void visit(std::size_t level, Tick start) noexcept;
  void bring_down(IntrusiveList& slot) noexcept;
  void move_on(TimerNode& node) noexcept;
  [[nodiscard]] Tick find_slot(std::size_t& level) noexcept;
  [[nodiscard]] Tick next_on(std::size_t level) noexcept;
  [[nodiscard]] Tick next_on_first() noexcept;
  [[nodiscard]] Tick earliest() noexcept;
  [[nodiscard]] Tick earliest_in(std::size_t level, Tick start, int& steps) noexcept;

  static constexpr Tick kNever = ~Tick{0};

  Tick position_;                            // all ticks up to and with this one have been visited
  Tick target_;                              // the last tick of the round
  TimePoint round_end_;                      // the time of the round
  Tick quiet_until_ = kNever;                // no occupied slot begins before this tick
  TimePoint wait_until_ = TimePoint::max();  // the answer of next_deadline(),
  bool wait_known_ = true;                   // if it still holds
  unsigned levels_ = 0;                      // a bit for each level that may be occupied
  TimerNode::Order order_ = TimerNode::kUnordered;
  std::array<std::uint64_t, kFirstWords> first_occupied_{};
  std::array<std::uint64_t, kFirstWords> mixed_{};
  std::array<std::uint64_t, kLevels> occupied_{};  // the first is not used
  std::array<IntrusiveList, kFirstSlots> first_;
  std::array<std::array<IntrusiveList, kSlots>, kLevels - 1> higher_;
  IntrusiveList overdue_;  // armed for a tick of the round or before: the next round's first
  IntrusiveList round_;    // of the ticks up to the position, not yet taken
};

}  // namespace reactor
