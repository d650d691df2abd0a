// SPDX-License-Identifier: MIT
// Crew: the trial of the next generation, and other changes of what the workers are. Nothing that
// lasts changes before enact_trial(), so a trial that fails leaves nothing to undo.
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
}

void Crew::reload(Generation next, Enact enact) {
  drop_trial();
  failure_.clear();
  trial_.emplace(Trial{std::move(next), std::move(enact)});
  if (!was_ready_) static_cast<void>(enact_trial());  // the present generation is no better
}

void Crew::renew_all() {
  for (const auto& process : processes_) process->outdated = true;
}

// ---- The trial ----

WorkerProcess* Crew::start_trial(unsigned slot) {
  return trial_->worker = start(slot, trial_->generation);
}

// Returns whether the generation on trial is in force now. If not, it is dropped.
bool Crew::enact_trial() {
  failure_ = trial_->enact ? trial_->enact(trial_->generation) : "";
  if (!failure_.empty()) {
    REACTOR_LOG(error, "reload refused, all stays as it is: " + failure_);
    drop_trial();
    return false;
  }
  for (const auto& process : processes_) {
    if (!is_tried(*process)) process->outdated = true;
  }
  current_ = std::move(trial_->generation);
  trial_.reset();
  return true;
}

// Its worker may still become ready, and is replaced then.
void Crew::drop_trial() {
  if (trial_ && trial_->worker != nullptr) trial_->worker->outdated = true;
  trial_.reset();
}

// Called if the worker on trial died. Its death does not count as a failed start, because it is not
// tried again by itself. `line`: how it died.
void Crew::fail_trial(const std::string& line) {
  REACTOR_LOG(warn, line);
  REACTOR_LOG(error, "the new workers do not become ready: going on with the old configuration");
  failure_ = "its workers did not become ready";
  trial_.reset();
}

// Called if the worker on trial is ready, but its generation was dropped.
void Crew::turn_away(WorkerProcess& process) {
  slots_[process.slot].coming = nullptr;
  leave(process, process.slot);
}

}  // namespace reactor::prefork
