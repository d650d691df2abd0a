// SPDX-License-Identifier: MIT
// The header draws the wheel. A round takes all timers that are due (expire(), next_expired()). The
// wheel has three oddities:
//
//   - Deadlines move lazily, so a node may lie in a bucket that is too early for it. Each function
//     that looks into a bucket passes such nodes on (move_on()).
//   - Bits of emptied buckets stay set until a search finds the bucket empty (next_on()).
//   - A round takes nodes bucket by bucket while callbacks run (next_expired()), so position_ may
//     lie before target_ between two callbacks. A node that is armed meanwhile for a tick of this
//     round is put into overdue_, for the next round.
#include "reactor/loop/timer_queue.h"

#include <algorithm>
#include <bit>

namespace reactor {
namespace {

TimerNode& node_of(ListLink& link) { return static_cast<TimerNode&>(link); }

// Merges two sorted lists and empties both. Of equal nodes, those of `older` come first.
void merge(IntrusiveList& older, IntrusiveList& newer, IntrusiveList& merged) {
  for (;;) {
    ListLink* const old = older.first();
    ListLink* const fresh = newer.first();
    if (old == nullptr || fresh == nullptr) break;
    ListLink& next = node_of(*fresh).order() < node_of(*old).order() ? *fresh : *old;
    next.unlink();
    merged.append(next);
  }
  merged.splice(older);
  merged.splice(newer);
}

// Sorts stably by order(), by merging. runs[i] is empty or holds 2^i nodes, and its nodes are older
// than those of runs[i-1].
void sort(IntrusiveList& list) {
  std::array<IntrusiveList, 40> runs;
  while (ListLink* const first = list.first()) {
    IntrusiveList run;
    first->unlink();
    run.append(*first);
    std::size_t i = 0;
    for (; !runs[i].empty(); ++i) {
      IntrusiveList merged;
      merge(runs[i], run, merged);
      run.splice(merged);
    }
    runs[i].splice(run);
  }
  for (IntrusiveList& run : runs) {
    IntrusiveList merged;
    merge(run, list, merged);
    list.splice(merged);
  }
}

}  // namespace

TimerQueue::TimerQueue(TimePoint now) noexcept
    : position_(floor_tick(now)), target_(position_), round_end_(now) {}

// Disarms the nodes that are still armed, so that their owners may outlive the queue.
TimerQueue::~TimerQueue() {
  round_.splice(overdue_);
  for (IntrusiveList& bucket : first_) round_.splice(bucket);
  for (auto& level : higher_) {
    for (IntrusiveList& bucket : level) round_.splice(bucket);
  }
  while (ListLink* link = round_.first()) link->unlink();
}

TimePoint TimerQueue::time_of(Tick tick) noexcept {
  if (tick >= floor_tick(TimePoint::max())) return TimePoint::max();
  return TimePoint(Duration(static_cast<std::int64_t>(tick << kTickShift)));
}

void TimerQueue::arm(TimerNode& node, TimePoint deadline) noexcept {
  node.deadline_ = deadline;
  if (deadline < wait_until_) wait_known_ = false;
  const Tick tick = ceil_tick(deadline);
  (tick <= target_ ? overdue_ : list_for(tick)).append(node);
}

IntrusiveList& TimerQueue::bucket_at(std::size_t level, Tick tick) noexcept {
  return level == 0 ? first_[tick % kFirstBuckets]
                    : higher_[level - 1][(tick >> shift_of(level)) % kBuckets];
}

// Returns the bucket for a tick that is not before the position, and marks the bucket as occupied.
IntrusiveList& TimerQueue::list_for(Tick tick) noexcept {
  const Tick ahead = tick - position_;
  if (ahead < kFirstBuckets) {
    const std::size_t bucket = tick % kFirstBuckets;
    first_occupied_[bucket / 64] |= std::uint64_t{1} << (bucket % 64);
    levels_ |= 1;
    quiet_until_ = std::min(quiet_until_, tick);
    return first_[bucket];
  }
  const auto width = static_cast<unsigned>(std::bit_width(ahead));
  const std::size_t level = (width - kFirstBits - 1) / kBits + 1;
  const Tick place = tick >> shift_of(level);
  const std::size_t bucket = place % kBuckets;
  occupied_[level] |= std::uint64_t{1} << bucket;
  levels_ |= 1U << level;
  quiet_until_ = std::min(quiet_until_, place << shift_of(level));
  return higher_[level - 1][bucket];
}

void TimerQueue::expire(TimePoint now) noexcept {
  round_end_ = std::max(round_end_, now);
  target_ = floor_tick(round_end_);
  if (wait_until_ <= round_end_) wait_known_ = false;
  round_.splice(overdue_);
}

// Takes the nodes bucket by bucket, so that the nodes of one bucket are still in the cache when
// their callbacks run.
TimerNode* TimerQueue::next_expired() noexcept {
  for (;;) {
    while (ListLink* const first = round_.first()) {
      TimerNode& node = node_of(*first);
      if (ceil_tick(node.deadline_) > position_ || node.order() == TimerNode::kStopped) {
        move_on(node);  // stopped, postponed, or armed for a later tick of this round
        continue;
      }
      node.unlink();
      return &node;
    }
    if (quiet_until_ > target_) break;  // true in most turns: nothing is due
    std::size_t level = 0;
    quiet_until_ = find_bucket(level);
    if (quiet_until_ > target_) break;
    visit(level, quiet_until_);
  }
  position_ = target_;
  return nullptr;
}

// Enters the bucket that begins at `start`, and those buckets of lower levels that also begin
// there.
void TimerQueue::visit(std::size_t level, Tick start) noexcept {
  position_ = start;
  for (std::size_t entered = level; entered > 0; --entered) {
    const std::uint64_t bit = std::uint64_t{1} << (start >> shift_of(entered)) % kBuckets;
    if ((occupied_[entered] & bit) == 0) continue;
    occupied_[entered] &= ~bit;  // before bring_down(), which may put a node here again
    bring_down(bucket_at(entered, start));
  }
  const std::size_t bucket = start % kFirstBuckets;
  const std::uint64_t bit = std::uint64_t{1} << (bucket % 64);
  first_occupied_[bucket / 64] &= ~bit;
  if ((mixed_[bucket / 64] & bit) != 0) sort(first_[bucket]);
  mixed_[bucket / 64] &= ~bit;
  round_.splice(first_[bucket]);
}

// Moves each node of a bucket that was entered to the bucket where it belongs now.
void TimerQueue::bring_down(IntrusiveList& bucket) noexcept {
  IntrusiveList entered;
  entered.splice(bucket);
  while (ListLink* const first = entered.first()) move_on(node_of(*first));
}

// Takes a node out of its bucket, and puts it where it belongs unless it was stopped.
void TimerQueue::move_on(TimerNode& node) noexcept {
  node.unlink();
  const TimerNode::Order order = node.order();
  if (order == TimerNode::kStopped) return;
  IntrusiveList& list = list_for(ceil_tick(node.deadline_));
  if (ListLink* const last = list.last()) {
    const TimerNode::Order before = node_of(*last).order();
    if (before <= TimerNode::kUnordered || before > order) mark_mixed(node.deadline_);
  }
  list.append(node);
}

// Returns the start of the first occupied bucket after the position. If buckets of several levels
// begin there, `level` is the highest of these levels.
TimerQueue::Tick TimerQueue::find_bucket(std::size_t& level) noexcept {
  Tick start = kNever;
  for (unsigned left = levels_; left != 0; left &= left - 1) {
    const auto candidate = static_cast<std::size_t>(std::countr_zero(left));
    const Tick next = candidate == 0 ? next_on_first() : next_on(candidate);
    if (next == kNever) {
      levels_ &= ~(1U << candidate);
    } else if (next <= start) {
      level = candidate;
      start = next;
    }
  }
  return start;
}

// Returns the start of the first occupied bucket of `level`, which is above 0. The bucket at the
// position has been visited, so the nodes that it has now are a whole revolution of the wheel
// ahead.
TimerQueue::Tick TimerQueue::next_on(std::size_t level) noexcept {
  const Tick here = position_ >> shift_of(level);
  const Tick turn = (here + 1) % kBuckets;
  std::uint64_t& occupied = occupied_[level];
  while (occupied != 0) {
    const std::uint64_t turned = occupied >> turn | occupied << (kBuckets - turn) % kBuckets;
    const auto ahead = static_cast<unsigned>(std::countr_zero(turned));
    const Tick next = here + 1 + ahead;
    if (!higher_[level - 1][next % kBuckets].empty()) return next << shift_of(level);
    occupied &= ~(std::uint64_t{1} << (next % kBuckets));
  }
  return kNever;
}

// Does the same on level 0, word by word: the upper part of the current word, the other words, and
// last the current word's lower part.
TimerQueue::Tick TimerQueue::next_on_first() noexcept {
  const Tick begin = position_ + 1;
  const std::uint64_t upper = ~std::uint64_t{0} << (begin % 64);
  for (std::size_t step = 0; step <= kFirstWords; ++step) {
    const std::size_t word = (begin / 64 + step) % kFirstWords;
    std::uint64_t mask = ~std::uint64_t{0};
    if (step == 0) mask = upper;
    if (step == kFirstWords) mask = ~upper;
    while ((first_occupied_[word] & mask) != 0) {
      const auto bit = static_cast<unsigned>(std::countr_zero(first_occupied_[word] & mask));
      const std::size_t bucket = word * 64 + bit;
      if (!first_[bucket].empty()) return begin + (bucket - begin) % kFirstBuckets;
      first_occupied_[word] &= ~(std::uint64_t{1} << bit);
    }
  }
  return kNever;
}

// Returns the earliest tick in the bucket that begins at `start`. Each node that is looked at takes
// one of `steps`. If no step is left, returns `start` itself, which is early enough: at that time
// the nodes move down a level, and the search is repeated. Nodes that no longer belong in this
// bucket move on.
TimerQueue::Tick TimerQueue::earliest_in(std::size_t level, Tick start, int& steps) noexcept {
  IntrusiveList& bucket = bucket_at(level, start);
  const Tick end = start + (Tick{1} << shift_of(level));
  Tick earliest = kNever;
  for (ListLink* at = bucket.first(); at != nullptr && earliest != start;) {
    if (--steps < 0) return start;
    TimerNode& node = node_of(*at);
    at = bucket.after(*at);
    const Tick tick = ceil_tick(node.deadline_);
    if (tick >= end || node.order() == TimerNode::kStopped) {
      move_on(node);
    } else {
      earliest = std::min(earliest, tick);
    }
  }
  return earliest;
}

// Returns the earliest tick of all nodes. If all nodes of a bucket have moved on, they may lie on a
// level that was searched before, so the search starts again.
TimerQueue::Tick TimerQueue::earliest() noexcept {
  int steps = 64;
  Tick earliest = kNever;
  for (unsigned left = levels_; left != 0;) {
    const auto level = static_cast<std::size_t>(std::countr_zero(left));
    const Tick start = level == 0 ? next_on_first() : next_on(level);
    if (start == kNever) {
      levels_ &= ~(1U << level);
    } else if (start < earliest) {
      const Tick found = earliest_in(level, start, steps);
      if (found == kNever) {
        earliest = kNever;
        left = levels_;
        continue;
      }
      earliest = std::min(earliest, found);
    }
    left &= left - 1;
  }
  return earliest;
}

TimePoint TimerQueue::next_deadline() noexcept {
  if (!round_.empty() || !overdue_.empty()) return TimePoint::min();
  if (!wait_known_) {
    wait_until_ = time_of(earliest());
    wait_known_ = true;
  }
  return wait_until_;
}

}  // namespace reactor
