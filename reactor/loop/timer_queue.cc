// SPDX-License-Identifier: MIT
#include "reactor/loop/timer_queue.h"

#include <algorithm>
#include <bit>

namespace reactor {
namespace {

TimerNode& node_of(ListLink& link) { return static_cast<TimerNode&>(link); }

}  // namespace

TimerQueue::TimerQueue(TimePoint now) noexcept : position_(floor_tick(now)) {}

// What is still armed is disarmed, so that its owner may outlive the queue.
TimerQueue::~TimerQueue() {
  for (auto& level : slots_) {
    for (IntrusiveList& slot : level) round_.splice(slot);
  }
  round_.splice(overdue_);
  while (ListLink* link = round_.first()) link->unlink();
}

TimerQueue::Tick TimerQueue::floor_tick(TimePoint at) noexcept {
  return static_cast<Tick>(at.time_since_epoch().count()) >> kTickShift;
}

TimerQueue::Tick TimerQueue::ceil_tick(TimePoint at) noexcept {
  const Duration since = std::max(at.time_since_epoch(), Duration::zero());
  return (static_cast<Tick>(since.count()) + (Tick{1} << kTickShift) - 1) >> kTickShift;
}

void TimerQueue::arm(TimerNode& node, TimePoint deadline) noexcept {
  node.deadline_ = deadline;
  link(node, ceil_tick(deadline));
}

void TimerQueue::link(TimerNode& node, Tick tick) noexcept {
  if (tick <= position_) {
    overdue_.append(node);
    return;
  }
  const auto group = static_cast<std::size_t>(63 - std::countl_zero(tick ^ position_)) / kBits;
  const std::size_t slot = (tick >> (group * kBits)) % kSlots;
  slots_[group][slot].append(node);
  occupied_[group] |= std::uint64_t{1} << slot;
  levels_ |= 1U << group;
}

void TimerQueue::disarm(TimerNode& node) noexcept { node.unlink(); }

void TimerQueue::postpone(TimerNode& node, TimePoint deadline) noexcept {
  if (deadline >= node.deadline_) {
    node.deadline_ = deadline;
    return;
  }
  node.unlink();
  arm(node, deadline);
}

void TimerQueue::expire(TimePoint now) noexcept {
  const Tick target = floor_tick(now);
  round_.splice(overdue_);
  std::size_t level = 0;
  Tick start = 0;
  while (find_slot(level, start) && start <= target) visit(level, start);
  position_ = std::max(position_, target);
}

// Enters the slot that begins at `start`: takes its nodes out and puts each where it belongs now,
// into the round if its time has come. A postponed node is linked further ahead.
void TimerQueue::visit(std::size_t level, Tick start) noexcept {
  position_ = start;
  const std::size_t slot = (start >> (level * kBits)) % kSlots;
  occupied_[level] &= ~(std::uint64_t{1} << slot);
  IntrusiveList entered;
  entered.splice(slots_[level][slot]);
  while (ListLink* link = entered.first()) {
    TimerNode& node = node_of(*link);
    node.unlink();
    const Tick tick = ceil_tick(node.deadline_);
    if (tick <= start) {
      round_.append(node);
    } else {
      this->link(node, tick);
    }
  }
}

// The first occupied slot after the position: lower levels come first, as they lie within the
// higher level's present slot.
bool TimerQueue::find_slot(std::size_t& level, Tick& start) noexcept {
  for (unsigned left = levels_; left != 0; left &= left - 1) {
    level = static_cast<std::size_t>(std::countr_zero(left));
    const std::size_t shift = level * kBits;
    std::uint64_t& occupied = occupied_[level];
    // Nothing lies in or before the present slot: it has been visited.
    while (occupied != 0) {
      const auto slot = static_cast<unsigned>(std::countr_zero(occupied));
      if (!slots_[level][slot].empty()) {
        const Tick above = (position_ >> shift) & ~Tick{kSlots - 1};
        start = (above | slot) << shift;
        return true;
      }
      occupied &= occupied - 1;
    }
    levels_ &= ~(1U << level);
  }
  return false;
}

// The first tick in a slot: looked up where the slot holds few nodes, else its start, at which the
// nodes go down a level and the question is asked again.
TimerQueue::Tick TimerQueue::earliest_in(std::size_t level, Tick start) noexcept {
  if (level == 0) return start;
  constexpr int kFew = 16;
  IntrusiveList& slot = slots_[level][(start >> (level * kBits)) % kSlots];
  Tick earliest = ~Tick{0};
  int seen = 0;
  for (ListLink* at = slot.first(); at != nullptr; at = slot.after(*at)) {
    if (++seen > kFew) return start;
    earliest = std::min(earliest, ceil_tick(node_of(*at).deadline_));
  }
  // Postponed nodes lie before their time: those of the slots between come first.
  return std::min(earliest, start + (Tick{1} << (level * kBits)));
}

TimerNode* TimerQueue::next_expired() noexcept {
  while (ListLink* const first = round_.first()) {
    first->unlink();
    TimerNode& node = node_of(*first);
    const Tick tick = ceil_tick(node.deadline_);
    if (tick <= position_) return &node;
    link(node, tick);  // postponed while it was due
  }
  return nullptr;
}

TimePoint TimerQueue::next_deadline() noexcept {
  if (!round_.empty() || !overdue_.empty()) return TimePoint::min();
  std::size_t level = 0;
  Tick start = 0;
  if (!find_slot(level, start)) return TimePoint::max();
  const Tick tick = earliest_in(level, start);
  if (tick >= floor_tick(TimePoint::max())) return TimePoint::max();
  return TimePoint(Duration(static_cast<std::int64_t>(tick << kTickShift)));
}

}  // namespace reactor
