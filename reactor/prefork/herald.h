// SPDX-License-Identifier: MIT
// Herald: what the service manager hears of the master, and when (sd_notify(3)). Private to
// prefork.
//
// clang-format off
//   all workers accept    READY=1 STATUS=
//   a reload begins       RELOADING=1 MONOTONIC_USEC=; READY=1 STATUS= when all are replaced
//   a reload is refused   RELOADING=1 MONOTONIC_USEC=; READY=1 STATUS= at once
//   a new program serves  MAINPID= READY=1, and nothing more from this one
//   the end begins        STOPPING=1 STATUS= EXTEND_TIMEOUT_USEC=
//   at any time           STATUS= when it changes; WATCHDOG=1 while each worker turns
// clang-format on
//
// Not sent: ERRNO (the exit code tells), BARRIER, FDSTORE.
#pragma once

#include <sys/types.h>

#include <string>

#include "reactor/base/clock.h"
#include "reactor/prefork/crew.h"
#include "reactor/prefork/notify.h"
#include "reactor/prefork/run_clock.h"

namespace reactor::prefork {

class Herald {
 public:
  // `succeeds`: the manager knows another program, and hears nothing from this one before begin().
  Herald(const RunClock& clock, bool succeeds) noexcept
      : clock_(clock), voice_(succeeds ? Voice::none : Voice::starting) {}

  // All workers accept, for the first time.
  void begin(const Crew& crew);
  // Once in each turn.
  void look(const Crew& crew);
  // When look() is wanted without news.
  [[nodiscard]] TimePoint next_turn() const noexcept { return next_watchdog_; }
  // There was a pause: the manager's clock went on.
  void resume() noexcept;

  void reload_begins();
  // `why`: a part of a sentence.
  void reload_refused(const Crew& crew, const std::string& why);
  // The latest event that is more than a number of workers; in the status from now on.
  void note(std::string text) { note_ = std::move(text); }
  // `successor` is the master now, and ready; it says the rest.
  void hand_over(pid_t successor);
  // `limit`: when it is over at the latest.
  void stop(const std::string& status, Duration limit);

 private:
  enum class Voice { none, starting, serving };

  [[nodiscard]] std::string describe(const Crew& crew) const;

  const RunClock& clock_;
  const Notifier notifier_;
  Voice voice_;
  bool reloading_ = false;
  std::string note_;
  std::string said_;  // the latest status
  TimePoint next_watchdog_ = TimePoint::max();
};

}  // namespace reactor::prefork
