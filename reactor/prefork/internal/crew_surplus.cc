// SPDX-License-Identifier: MIT
// Crew: retires workers if there are more than wanted (TTOU, a reload). If a worker that stays is
// stuck or not started yet, the others must not leave, because nobody would serve. So each worker
// that stays has to turn once after the decision. A worker that does not turn is replaced after
// Plan::timeout, like any silent worker.
#include <algorithm>
#include <string>
#include <utility>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/crew.h"

namespace reactor::prefork {
namespace {

// The time between two looks at the workers that stay is a quarter of the time that they have had,
// within these bounds.
constexpr Duration kFirstLook = std::chrono::milliseconds(10);
constexpr Duration kLastLook = std::chrono::seconds(1);
// After this time the log says why the surplus stays. A healthy loop turns at once, unless a
// callback runs.
constexpr Duration kBeforeLine = std::chrono::seconds(1);

}  // namespace

void Crew::retire_surplus() {
  if (!has_surplus()) {
    surplus_since_.reset();
  } else if (!surplus_since_) {
    begin_retiring();
  }
  const std::optional<unsigned> silent = surplus_since_ ? first_silent() : std::nullopt;
  if (silent) say_why_surplus_stays(*silent);
  for (unsigned slot = wanted(); slot < slots(); ++slot) {
    Slot& place = slots_[slot];
    const bool serves = place.serving != nullptr || place.coming != nullptr;
    if (!serves || silent) continue;
    vacate(slot);
    for (WorkerProcess** const each : {&place.coming, &place.serving}) {
      WorkerProcess* const process = std::exchange(*each, nullptr);
      if (process != nullptr) leave(*process, slot % wanted());
    }
  }
}

bool Crew::has_surplus() const {
  return std::any_of(slots_.begin() + wanted(), slots_.end(), [](const Slot& slot) {
    return slot.serving != nullptr || slot.coming != nullptr;
  });
}

// Sends each worker a message, because a sleeping loop turns only if there is one.
void Crew::begin_retiring() {
  look_after();  // from here on only new turns count
  surplus_since_ = clock_.now();
  said_why_surplus_stays_ = false;
  tell_all({.kind = Message::Kind::look});
}

// Returns the first slot that stays and whose worker does not serve, or has not turned since
// `surplus_since_`. Before release() no loop turns, so turns do not count.
std::optional<unsigned> Crew::first_silent() const {
  for (unsigned slot = 0; slot < wanted(); ++slot) {
    const WorkerProcess* const process = slots_[slot].serving;
    const bool serves = process != nullptr && process->state == WorkerProcess::State::serving;
    if (!serves || (!held_ && process->moved <= *surplus_since_)) return slot;
  }
  return std::nullopt;
}

void Crew::say_why_surplus_stays(unsigned silent) {
  if (clock_.now() - *surplus_since_ < kBeforeLine) return;
  if (std::exchange(said_why_surplus_stays_, true)) return;
  const WorkerProcess* const process = slots_[silent].serving;
  const std::string name =
      process == nullptr ? "worker " + std::to_string(silent) : process->name();
  REACTOR_LOG(warn, name +
                        " does not serve now: those that are to retire go on until it does, or "
                        "its successor");
}

TimePoint Crew::next_look_at_rest() const {
  if (!surplus_since_) return TimePoint::max();
  const Duration waited = clock_.now() - *surplus_since_;
  return saturating_add(clock_.now(), std::clamp<Duration>(waited / 4, kFirstLook, kLastLook));
}

}  // namespace reactor::prefork
