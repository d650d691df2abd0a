// SPDX-License-Identifier: MIT
// TimerQueue: a hierarchical wheel of intrusive nodes, tickless. No allocation, ever; insert,
// cancel and re-arm touch the node, its neighbours and one slot.
//
//   level 0: 64 slots of one tick (2^19 ns = 0.52 ms)
//   level 1: 64 slots of 64 ticks ... level 7: 64 slots of 64^7 ticks; together all of 2^63 ns
//
// A node lies on the level of the highest group of six bits in which its tick differs from the
// wheel's position, so it moves down at most once a level, when the position enters its slot. A
// bitmap per level finds the next occupied slot; bits of emptied slots are cleared by that search.
// Nodes of one slot keep the order in which they were started, and cascading keeps it too (G4).
#pragma once

#include <array>
#include <cstdint>

#include "reactor/base/clock.h"
#include "reactor/base/intrusive_list.h"
#include "reactor/loop/dispatchable.h"

namespace reactor {

// A timer that lies in the object it belongs to. The owner disarms it before it dies. 32 bytes.
class TimerNode : public Dispatchable, public ListLink {
 public:
  TimerNode() = default;
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;

  // The deadline has passed and the node is disarmed; it may be armed again, or destroyed.
  virtual void on_expire() = 0;

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

  // Arms a node that is not armed. It expires at the first tick at or after `deadline`, never
  // before it; one that lies in the past expires at the next expire() that is not under way.
  void arm(TimerNode& node, TimePoint deadline) noexcept;

  // Disarms; nothing happens where it is not armed. Also takes it out of a round under way.
  void disarm(TimerNode& node) noexcept;

  // Moves the deadline of an armed node. A later one is only stored: the node is linked anew when
  // the old deadline passes, behind those of its new tick that were started meanwhile.
  void postpone(TimerNode& node, TimePoint deadline) noexcept;

  // Collects all nodes whose tick is not after `now` into the round, in order. Those armed from
  // here on wait for the next call (G4, G10).
  void expire(TimePoint now) noexcept;

  // Takes the first node of the round and disarms it; null where the round is over.
  [[nodiscard]] TimerNode* next_expired() noexcept;

  // The earliest point at which expire() has something to do, not before a deadline and at most a
  // tick after it; TimePoint::min() where a node is due already, TimePoint::max() where none is
  // armed. May be early by up to a slot of a higher level when that slot holds many nodes.
  [[nodiscard]] TimePoint next_deadline() noexcept;

 private:
  static constexpr int kBits = 6;
  static constexpr unsigned kSlots = 1U << kBits;
  static constexpr std::size_t kLevels = 8;
  using Tick = std::uint64_t;

  [[nodiscard]] static Tick floor_tick(TimePoint at) noexcept;
  [[nodiscard]] static Tick ceil_tick(TimePoint at) noexcept;
  void link(TimerNode& node, Tick tick) noexcept;
  void visit(std::size_t level, Tick start) noexcept;
  [[nodiscard]] bool find_slot(std::size_t& level, Tick& start) noexcept;
  [[nodiscard]] Tick earliest_in(std::size_t level, Tick start) noexcept;

  Tick position_;        // all ticks up to and with this one have been visited
  unsigned levels_ = 0;  // a bit for each level that may be occupied
  std::array<std::uint64_t, kLevels> occupied_{};
  std::array<std::array<IntrusiveList, kSlots>, kLevels> slots_;
  IntrusiveList overdue_;  // armed for a tick that the position has passed: the next round's first
  IntrusiveList round_;    // expired, not yet taken
};

}  // namespace reactor
