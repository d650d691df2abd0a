// SPDX-License-Identifier: MIT
// Crew: the trial of the next generation, and other changes of the workers' number or plan.
// master_reload.cc has the whole path of a reload.
#include <algorithm>
#include <string>
#include <utility>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/crew.h"

namespace reactor::prefork {

unsigned Crew::wanted_at_last() const noexcept {
  return trial_ ? trial_->generation.plan.workers : wanted();
}

void Crew::resize(int by) {
  const auto change = [by](Plan& plan) {
    const int workers = static_cast<int>(plan.workers) + by;
    plan.workers = static_cast<unsigned>(std::clamp(workers, 1, static_cast<int>(kMostWorkers)));
  };
  change(current_.plan);
  if (trial_) change(trial_->generation.plan);
  slot_plan_.set_wanted(current_.plan.workers);
}

void Crew::reload(Generation next, Enact enact) {
  failure_.clear();
  slot_plan_.begin_trial();
  trial_.emplace(Trial{std::move(next), std::move(enact)});
  if (slot_plan_.was_ready() || enact_trial()) return;  // if not, the present one is no better
  slot_plan_.drop_trial();
}

void Crew::renew_all() { slot_plan_.outdate_all(); }

// ---- The trial ----

// Puts the generation on trial into force, and returns true. If its changes can't be made, returns
// false, and the caller has to end the trial in the slot plan.
bool Crew::enact_trial() {
  failure_ = trial_->enact ? trial_->enact(trial_->generation) : "";
  if (!failure_.empty()) {
    REACTOR_LOG(error, "reload refused, all stays as it is: " + failure_);
    trial_.reset();
    return false;
  }
  current_ = std::move(trial_->generation);
  trial_.reset();
  slot_plan_.adopt_trial(current_.plan.workers);
  return true;
}

// Called if the worker on trial died. The trial is not repeated.
void Crew::fail_trial() {
  REACTOR_LOG(error, "the new workers do not become ready: going on with the old configuration");
  failure_ = "its workers did not become ready";
  trial_.reset();
}

}  // namespace reactor::prefork
