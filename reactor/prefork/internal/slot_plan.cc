// SPDX-License-Identifier: MIT
// SlotPlan: slot_plan.h draws its states.
#include "reactor/prefork/internal/slot_plan.h"

#include <algorithm>
#include <utility>

namespace reactor::prefork {
namespace {

// While surplus workers wait, the time between two looks at the workers that stay is a quarter of
// the time that has passed, within these bounds.
constexpr Duration kFirstLook = std::chrono::milliseconds(10);
constexpr Duration kLastLook = std::chrono::seconds(1);

}  // namespace

SlotPlan::SlotPlan(unsigned wanted, unsigned slots, std::uint32_t seed)
    : wanted_(wanted), slots_(slots), backoff_(wanted), jitter_(seed) {}

SlotPlan::Worker* SlotPlan::find(unsigned slot, Id worker) noexcept {
  for (auto* const each : {&slots_[slot].holder, &slots_[slot].successor}) {
    if (*each && (*each)->id == worker) return &**each;
  }
  return nullptr;
}

// ---- The trial ----

void SlotPlan::begin_trial() noexcept {
  drop_trial();
  trial_ = kToBeStarted;
}

void SlotPlan::adopt_trial(unsigned wanted) noexcept {
  outdate_all_but(trial_);
  trial_.reset();
  wanted_ = wanted;
}

void SlotPlan::drop_trial() noexcept {
  for (Slot& slot : slots_) {
    for (auto* const each : {&slot.holder, &slot.successor}) {
      if (*each && trial_ == (*each)->id) (*each)->outdated = true;
    }
  }
  trial_.reset();
}

bool SlotPlan::refuse_trial(unsigned slot, Id worker) noexcept {
  drop_trial();
  std::optional<Worker>& successor = slots_[slot].successor;
  if (!successor || successor->id != worker) return false;
  successor.reset();
  return true;
}

void SlotPlan::outdate_all() noexcept { outdate_all_but(std::nullopt); }

void SlotPlan::outdate_all_but(std::optional<Id> spared) noexcept {
  for (Slot& slot : slots_) {
    for (auto* const each : {&slot.holder, &slot.successor}) {
      if (*each && spared != (*each)->id) (*each)->outdated = true;
    }
  }
}

// ---- Starts ----

// An empty slot gets a worker of the present generation, and not the worker on trial, which may
// fail. But if no worker serves at all, perhaps only the generation on trial can. Then an empty
// slot gets the worker on trial.
std::optional<SlotPlan::Start> SlotPlan::empty_slot_due(TimePoint now) const {
  if (is_over()) return std::nullopt;
  for (unsigned slot = 0; slot < wanted_; ++slot) {
    if (is_empty(slot) && slots_[slot].not_before <= now) {
      return Start{slot, trial_is_due() && serving() == 0};
    }
  }
  return std::nullopt;
}

// The oldest worker is replaced first, so that a worker that asks for a successor again and again
// does not keep the others waiting.
std::optional<SlotPlan::Start> SlotPlan::successor_due(TimePoint now) const {
  if (is_over() || a_successor_starts()) return std::nullopt;
  std::optional<unsigned> oldest;
  for (unsigned slot = 0; slot < wanted_; ++slot) {
    if (!needs_successor(slots_[slot]) || next_start(slots_[slot]) > now) continue;
    const bool older = !oldest || slots_[slot].holder->started < slots_[*oldest].holder->started;
    if (older) oldest = slot;
  }
  if (!oldest) return std::nullopt;
  return Start{*oldest, trial_is_due()};
}

bool SlotPlan::a_successor_starts() const noexcept {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.successor.has_value(); });
}

bool SlotPlan::needs_successor(const Slot& slot) const noexcept {
  if (!slot.holder || !slot.holder->ready) return false;
  return slot.holder->wants_successor || slot.holder->outdated || trial_is_due();
}

TimePoint SlotPlan::next_start(const Slot& slot) const noexcept {
  if (!slot.holder || slot.holder->outdated || trial_is_due()) return slot.not_before;
  return std::max(slot.not_before, saturating_add(slot.holder->started, kShortestService));
}

TimePoint SlotPlan::next_turn(TimePoint now) const {
  if (is_over()) return TimePoint::max();
  TimePoint next = next_look_at_surplus(now);
  const bool waits = a_successor_starts();
  for (unsigned slot = 0; slot < wanted_; ++slot) {
    const Slot& each = slots_[slot];
    const bool due = !each.holder || (!waits && needs_successor(each));
    if (due) next = std::min(next, next_start(each));
  }
  return next;
}

// ---- The surplus ----

bool SlotPlan::surplus_begins(TimePoint now) noexcept {
  const bool any = std::any_of(slots_.begin() + wanted_, slots_.end(),
                               [](const Slot& slot) { return slot.holder.has_value(); });
  if (!any) surplus_since_.reset();
  if (!any || surplus_since_) return false;
  surplus_since_ = now;
  return true;
}

std::optional<unsigned> SlotPlan::surplus_waits_for() const noexcept {
  for (unsigned slot = 0; slot < wanted_ && surplus_since_; ++slot) {
    const std::optional<Worker>& holder = slots_[slot].holder;
    if (!holder || !holder->ready || holder->turned <= *surplus_since_) return slot;
  }
  return std::nullopt;
}

std::vector<SlotPlan::Retirement> SlotPlan::retire_surplus() {
  std::vector<Retirement> retired;
  if (!surplus_since_ || surplus_waits_for()) return retired;
  for (unsigned slot = wanted_; slot < slots(); ++slot) {
    for (auto* const each : {&slots_[slot].successor, &slots_[slot].holder}) {
      if (!*each) continue;
      if (is_on_trial((*each)->id)) trial_ = kToBeStarted;  // another one is tried
      retired.push_back({slot, (*each)->id, slot % wanted_});
      each->reset();
    }
  }
  return retired;
}

TimePoint SlotPlan::next_look_at_surplus(TimePoint now) const noexcept {
  if (!surplus_since_) return TimePoint::max();
  const Duration waited = now - *surplus_since_;
  return saturating_add(now, std::clamp<Duration>(waited / 4, kFirstLook, kLastLook));
}

// ---- Reports ----

void SlotPlan::started(const Start& start, Id worker, TimePoint now) {
  Slot& slot = slots_[start.slot];
  Worker fresh;
  fresh.id = worker;
  fresh.started = fresh.turned = now;
  (slot.holder ? slot.successor : slot.holder) = fresh;
  if (start.on_trial) trial_ = worker;
}

void SlotPlan::could_not_start(unsigned slot, TimePoint now) {
  slow_down(slots_[slot], Duration::zero(), now);
  slots_[slot].not_before = std::max(slots_[slot].not_before, saturating_add(now, Backoff::kFirst));
}

std::optional<SlotPlan::Id> SlotPlan::ready(unsigned slot, Id worker, TimePoint now) {
  Worker* const found = find(slot, worker);
  if (found == nullptr) return std::nullopt;
  found->ready = was_ready_ = true;
  found->turned = now;
  found->ready_since = now;
  Slot& state = slots_[slot];
  if (found == &*state.holder) return std::nullopt;
  const Id replaced = state.holder->id;
  state.holder = std::exchange(state.successor, std::nullopt);
  return replaced;
}

void SlotPlan::turned(unsigned slot, Id worker, TimePoint now) noexcept {
  if (Worker* const found = find(slot, worker)) found->turned = now;
}

void SlotPlan::wants_successor(unsigned slot, Id worker) noexcept {
  if (Worker* const found = find(slot, worker)) found->wants_successor = true;
}

void SlotPlan::aborted(unsigned slot, Id worker) noexcept {
  if (Worker* const found = find(slot, worker)) found->ready = false;
}

void SlotPlan::expelled(unsigned slot, Id worker) noexcept {
  aborted(slot, worker);
  if (Worker* const found = find(slot, worker)) found->ready_since.reset();
}

// The death of the worker on trial is no failed start, because the trial is not repeated.
SlotPlan::Death SlotPlan::died(unsigned slot, Id worker, TimePoint now) {
  const Worker* const found = find(slot, worker);
  if (found == nullptr) return Death::expected;
  const Worker dead = *found;
  Slot& state = slots_[slot];
  if (found == &*state.holder) state.holder = std::move(state.successor);
  state.successor.reset();
  if (ended_) return Death::expected;
  if (is_on_trial(worker)) {
    trial_.reset();
    return Death::ended_trial;
  }
  slow_down(state, dead.ready_since ? now - *dead.ready_since : Duration::zero(), now);
  return Death::unexpected;
}

// Delays the next start in the slot, after a worker that was ready for the time `served`. The pause
// has a random part of up to a quarter, so that workers that failed at the same time are not
// started at the same time again. Also notes if all starts have failed.
void SlotPlan::slow_down(Slot& slot, Duration served, TimePoint now) {
  const Duration pause = backoff_.after_death(served);
  slot.not_before = saturating_add(now, pause + jitter_.part_of(pause / 4));
  if (!was_ready_ && ++failed_starts_ >= wanted_) hopeless_ = true;
}

// ---- The present state ----

bool SlotPlan::has_slot(unsigned slot, Id worker) const noexcept {
  return slots_[slot].holder && slots_[slot].holder->id == worker;
}

Duration SlotPlan::pause(unsigned slot, TimePoint now) const noexcept {
  return std::max(slots_[slot].not_before - now, Duration::zero());
}

unsigned SlotPlan::serving() const noexcept {
  return static_cast<unsigned>(
      std::count_if(slots_.begin(), slots_.begin() + wanted_,
                    [](const Slot& slot) { return slot.holder && slot.holder->ready; }));
}

bool SlotPlan::settled() const noexcept {
  return complete() && !trial_ && !a_successor_starts() &&
         std::none_of(slots_.begin(), slots_.begin() + wanted_,
                      [this](const Slot& slot) { return needs_successor(slot); });
}

}  // namespace reactor::prefork
