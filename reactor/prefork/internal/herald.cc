// SPDX-License-Identifier: MIT
// Herald: once in each turn of the master, compares the crew with the last report to the service
// manager, and sends the difference.
#include "reactor/prefork/internal/herald.h"

#include <algorithm>
#include <utility>

namespace reactor::prefork {

void Herald::begin(const Crew& crew) {
  voice_ = Voice::serving;
  notifier_.ready(said_ = describe(crew));
  if (notifier_.watchdog_interval() > Duration::zero()) next_watchdog_ = clock_.now();
}

void Herald::look(const Crew& crew) {
  notifier_.flush();
  if (voice_ != Voice::serving) return;
  const bool through = reloading_ && crew.settled();
  if (through && !crew.failure().empty()) note_ = "the last reload failed: " + crew.failure();
  std::string status = describe(crew);
  if (through) {
    reloading_ = false;
    notifier_.ready(status);
  } else if (status != said_) {
    notifier_.status(status);
  }
  said_ = std::move(status);
  if (clock_.now() < next_watchdog_) return;
  const Duration interval = notifier_.watchdog_interval();
  next_watchdog_ = saturating_add(clock_.now(), interval / 3);
  if (crew.lively(std::max<Duration>(interval, std::chrono::seconds(3)))) notifier_.watchdog();
}

TimePoint Herald::next_turn() const noexcept {
  if (!notifier_.waits()) return next_watchdog_;
  return std::min(next_watchdog_, saturating_add(clock_.now(), Notifier::kRetryDelay));
}

void Herald::resume() noexcept {
  if (next_watchdog_ != TimePoint::max()) next_watchdog_ = clock_.now();
}

void Herald::reload_begins() {
  if (voice_ != Voice::serving) return;
  notifier_.reloading();
  reloading_ = true;
  note_.clear();
}

// After RELOADING=1 the manager waits for READY=1 (Type=notify-reload). If an earlier reload is
// still under way, the READY=1 at its end also answers the refused reload.
void Herald::reload_refused(const Crew& crew, const std::string& why) {
  if (voice_ != Voice::serving) return;
  notifier_.reloading();
  note_ = "the last reload was refused: " + why;
  if (!reloading_) notifier_.ready(said_ = describe(crew));
}

// MAINPID and READY=1 are in one datagram, because the manager ignores READY=1 from a process that
// is not the main one yet.
bool Herald::change_main_pid(pid_t next) {
  if (voice_ == Voice::serving && !notifier_.main_pid(next)) return false;
  voice_ = Voice::none;
  next_watchdog_ = TimePoint::max();
  return true;
}

void Herald::stop(const std::string& status, Duration limit) {
  if (voice_ != Voice::none) notifier_.stopping(status, limit);
  voice_ = Voice::none;
  next_watchdog_ = TimePoint::max();
}

std::string Herald::describe(const Crew& crew) const {
  const std::string wanted =
      std::to_string(crew.wanted()) + (crew.wanted() == 1 ? " worker" : " workers");
  std::string text =
      crew.complete() ? wanted : std::to_string(crew.serving()) + " of " + wanted + " serve";
  if (!note_.empty()) text += "; " + note_;
  return text;
}

}  // namespace reactor::prefork
