// SPDX-License-Identifier: MIT
// Invariants of the crew's decisions, whatever happens to the workers: rapidcheck makes up the
// reports, and a small model says after each of them what must be true.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "reactor/prefork/internal/slot_plan.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What happens next, and to whom.
using Report = std::pair<std::uint8_t, std::uint16_t>;
using Reports = std::vector<Report>;

constexpr unsigned kMostSlots = 6;

// The crew and its workers, as far as the plan can tell.
class World {
 public:
  World(unsigned wanted, unsigned slots) : plan_(wanted, slots, 1) { ask(); }

  void happens(const Report& report) {
    const unsigned before = plan_.serving();
    const bool may_lose = act(report.first % 12, report.second);
    if (!may_lose) RC_ASSERT(plan_.serving() >= before);
    ask();
  }

  // A trial that begins now and whose worker dies.
  void fail_a_trial() {
    plan_.begin_trial();
    const auto start = plan_.successor_due(now_);
    if (!start) return plan_.drop_trial();
    RC_ASSERT(start->on_trial);
    constexpr SlotPlan::Id kTried = 1'000'000;
    plan_.started(*start, kTried, now_);
    RC_ASSERT(plan_.died(start->slot, kTried, now_) == SlotPlan::Death::ended_trial);
  }
  void drop_trial() { plan_.drop_trial(); }

  // From here on all goes well. Returns whether the plan comes to rest with every wanted slot
  // served and no other.
  [[nodiscard]] bool comes_to_rest() {
    for (int i = 0; i < 100; ++i) {
      now_ += seconds(1);
      for (const auto& [id, worker] : std::map(workers_)) {
        if (worker.state == State::starting) get_ready(id, true);
        plan_.turned(worker.slot, id, now_);
        turned_[id] = now_;
      }
      for (const auto& [id, worker] : std::map(workers_)) {
        if (worker.state == State::aborted || worker.state == State::leaving) die(id);
      }
      ask();
    }
    if (plan_.hopeless()) return true;
    for (unsigned slot = plan_.wanted(); slot < plan_.slots(); ++slot) {
      if (!plan_.is_empty(slot)) return false;
    }
    return plan_.settled() && workers_.size() == plan_.wanted();
  }

  // Whether two worlds in which the same happened, but for fail_a_trial(), look the same.
  [[nodiscard]] bool same_as(const World& other) const {
    return starts_ == other.starts_ && plan_.serving() == other.plan_.serving() &&
           plan_.settled() == other.plan_.settled() && plan_.hopeless() == other.plan_.hopeless() &&
           plan_.next_turn(now_) == other.plan_.next_turn(now_);
  }

 private:
  enum class State : std::uint8_t { starting, ready, aborted, leaving };
  struct Worker {
    unsigned slot = 0;
    State state = State::starting;
  };

  // Returns whether this can make a slot lose its ready worker, or change which slots count.
  bool act(int kind, std::uint16_t choice) {
    const std::optional<SlotPlan::Id> id = any_worker(choice);
    switch (kind) {
      case 0:
        now_ += milliseconds(choice % 3000);
        return false;
      case 1:
      case 2:
        if (id && workers_[*id].state == State::starting) get_ready(*id, choice % 8 != 0);
        return false;
      case 3:
        if (id) die(*id);
        return true;
      case 4:
      case 5:
        if (!id || workers_[*id].state == State::leaving) return false;
        workers_[*id].state = State::aborted;
        kind == 4 ? plan_.aborted(workers_[*id].slot, *id)
                  : plan_.expelled(workers_[*id].slot, *id);
        return true;
      case 6:
        if (id) plan_.wants_successor(workers_[*id].slot, *id);
        return false;
      case 7:
        if (id) plan_.turned(workers_[*id].slot, *id, now_);
        if (id) turned_[*id] = now_;
        return false;
      case 8:
        plan_.outdate_all();
        return false;
      case 9:
        plan_.begin_trial();
        return false;
      case 10:
        if (plan_.slots() < kMostSlots) plan_.add_slot();
        plan_.set_wanted(1 + choice % plan_.slots());
        return true;
      default:
        fails_ = true;
        return false;
    }
  }

  [[nodiscard]] std::optional<SlotPlan::Id> any_worker(std::uint16_t choice) const {
    if (workers_.empty()) return std::nullopt;
    auto found = workers_.begin();
    std::advance(found, choice % workers_.size());
    return found->first;
  }

  // Asks the plan as the crew does.
  void ask() {
    while (const auto start = plan_.empty_slot_due(now_)) {
      RC_ASSERT(plan_.is_empty(start->slot));
      if (start->on_trial) RC_ASSERT(plan_.serving() == 0U);
      begin(*start);
    }
    if (plan_.surplus_begins(now_)) surplus_since_ = now_;
    for (const auto& retired : plan_.retire_surplus()) retire(retired);
    if (const auto start = plan_.successor_due(now_)) {
      RC_ASSERT(successors() == 0);
      const std::optional<SlotPlan::Id> holder = holder_of(start->slot);
      RC_ASSERT(holder.has_value());
      RC_ASSERT(workers_[*holder].state == State::ready);
      begin(*start);
    }
    check_next_turn();
  }

  void begin(const SlotPlan::Start& start) {
    RC_ASSERT(start.slot < plan_.wanted());
    RC_ASSERT(now_ >= not_before_[start.slot]);
    if (start.on_trial) RC_ASSERT(!any_on_trial());
    if (std::exchange(fails_, false)) {
      plan_.could_not_start(start.slot, now_);
      not_before_[start.slot] = now_ + Backoff::kFirst;
      return;
    }
    const SlotPlan::Id id = ++last_id_;
    workers_[id] = {start.slot, State::starting};
    plan_.started(start, id, now_);
    starts_.emplace_back(start.slot, start.on_trial);
    std::size_t in_slots = 0;
    for (const auto& [each, worker] : workers_) {
      if (worker.slot < plan_.wanted() && worker.state != State::leaving) ++in_slots;
    }
    RC_ASSERT(in_slots <= plan_.wanted() + 1);
  }

  // Before a worker retires, each worker that stays must have shown that it serves.
  void retire(const SlotPlan::Retirement& retired) {
    RC_ASSERT(retired.slot >= plan_.wanted());
    RC_ASSERT(retired.heir < plan_.wanted());
    for (unsigned slot = 0; slot < plan_.wanted(); ++slot) {
      const std::optional<SlotPlan::Id> holder = holder_of(slot);
      RC_ASSERT(holder.has_value());
      RC_ASSERT(workers_[*holder].state == State::ready);
      RC_ASSERT(turned_[*holder] > surplus_since_);
    }
    leave(retired.worker);
  }

  void get_ready(SlotPlan::Id id, bool adopted) {
    Worker& worker = workers_[id];
    worker.state = State::ready;
    if (plan_.is_on_trial(id)) {
      if (adopted) {
        plan_.adopt_trial(plan_.wanted());
      } else if (plan_.refuse_trial(worker.slot, id)) {
        return leave(id);
      }
    }
    const std::optional<SlotPlan::Id> replaced = plan_.ready(worker.slot, id, now_);
    turned_[id] = now_;
    RC_ASSERT(plan_.has_slot(worker.slot, id));
    if (!replaced) return;
    RC_ASSERT(workers_[*replaced].slot == worker.slot);
    leave(*replaced);
  }

  void leave(SlotPlan::Id id) {
    RC_ASSERT(workers_.count(id) == 1U);
    RC_ASSERT(workers_[id].state != State::leaving);
    workers_[id].state = State::leaving;
  }

  void die(SlotPlan::Id id) {
    const Worker worker = workers_[id];
    const bool tried = plan_.is_on_trial(id);
    workers_.erase(id);
    const SlotPlan::Death death = plan_.died(worker.slot, id, now_);
    RC_ASSERT((death == SlotPlan::Death::ended_trial) == tried);
    RC_ASSERT((death == SlotPlan::Death::expected) == (worker.state == State::leaving));
    if (death == SlotPlan::Death::unexpected) not_before_.erase(worker.slot);
  }

  // The crew sleeps until next_turn(): nothing may be due before, and something is due then.
  void check_next_turn() {
    const TimePoint next = plan_.next_turn(now_);
    if (next <= now_) {
      RC_ASSERT(is_due(now_));
    } else if (next < TimePoint::max()) {
      RC_ASSERT(!is_due(next - Duration(1)));
      if (!plan_.surplus_since()) RC_ASSERT(is_due(next));
    } else {
      RC_ASSERT(!is_due(now_ + std::chrono::hours(1)));
    }
  }
  [[nodiscard]] bool is_due(TimePoint when) const {
    return plan_.empty_slot_due(when) || plan_.successor_due(when);
  }

  [[nodiscard]] std::optional<SlotPlan::Id> holder_of(unsigned slot) const {
    for (const auto& [id, worker] : workers_) {
      if (plan_.has_slot(slot, id)) return id;
    }
    return std::nullopt;
  }
  [[nodiscard]] std::ptrdiff_t successors() const {
    return std::count_if(workers_.begin(), workers_.end(), [this](const auto& each) {
      return each.second.state != State::leaving && !plan_.has_slot(each.second.slot, each.first);
    });
  }
  [[nodiscard]] bool any_on_trial() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [this](const auto& each) { return plan_.is_on_trial(each.first); });
  }

  SlotPlan plan_;
  TimePoint now_{std::chrono::hours(1)};
  std::map<SlotPlan::Id, Worker> workers_;  // until they die
  std::map<SlotPlan::Id, TimePoint> turned_;
  std::map<unsigned, TimePoint> not_before_;
  std::vector<std::pair<unsigned, bool>> starts_;
  TimePoint surplus_since_{};
  SlotPlan::Id last_id_ = 0;
  bool fails_ = false;
};

RC_GTEST_PROP(SlotPlanProperty, KeepsItsInvariantsAndComesToRest, (const Reports& reports)) {
  const auto slots = *rc::gen::inRange(1U, kMostSlots);
  const auto wanted = *rc::gen::inRange(1U, slots + 1);
  World world(wanted, slots);
  for (const Report& report : reports) world.happens(report);
  RC_ASSERT(world.comes_to_rest());
}

RC_GTEST_PROP(SlotPlanProperty, ATrialThatFailsLeavesNothing,
              (const Reports& before, const Reports& after)) {
  World one(2, 3);
  for (const Report& report : before) one.happens(report);
  one.drop_trial();
  World other = one;
  one.fail_a_trial();
  RC_ASSERT(one.same_as(other));
  for (const Report& report : after) {
    one.happens(report);
    other.happens(report);
    RC_ASSERT(one.same_as(other));
  }
}

}  // namespace
}  // namespace reactor::prefork
