// SPDX-License-Identifier: MIT
// Herald: reports the state of the server to the service manager (sd_notify(3)). Private to
// prefork. It sends:
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
// It does not send ERRNO (the exit code tells the error), BARRIER or FDSTORE.
#pragma once

#include <sys/types.h>

#include <string>

#include "reactor/base/clock.h"
#include "reactor/prefork/internal/crew.h"
#include "reactor/prefork/internal/system/run_clock.h"
#include "reactor/prefork/notify.h"

namespace reactor::prefork {

class Herald {
 public:
  // `succeeds`: another program started this one as its upgrade. Until begin() the manager knows
  // only the other program, and this one sends the manager nothing.
  Herald(const RunClock& clock, bool succeeds) noexcept
      : clock_(clock), voice_(succeeds ? Voice::none : Voice::starting) {}

  // Called when all workers accept, for the first time.
  void begin(const Crew& crew);
  // Called once in each turn of the master.
  void look(const Crew& crew);
  // When look() has to be called next even if nothing happens.
  [[nodiscard]] TimePoint next_turn() const noexcept;
  // Makes the next watchdog message due now. Called after a pause in which the master's clock stood
  // still but the manager's went on.
  void resume() noexcept;

  void reload_begins();
  // `why`: part of a sentence.
  void reload_refused(const Crew& crew, const std::string& why);
  // From now on the status shows `text`, such as "the last upgrade failed: ...", after the number
  // of workers.
  void note(std::string text) { note_ = std::move(text); }
  // Tells the manager that process `next` is the master now, and that it is ready. That process
  // sends all later messages. Returns false if the manager's queue is full: call this again after
  // Notifier::kRetryDelay.
  [[nodiscard]] bool change_main_pid(pid_t next);
  // Tells the manager that the end has begun. `limit`: how long it may take.
  void stop(const std::string& status, Duration limit);

 private:
  enum class Voice { none, starting, serving };

  [[nodiscard]] std::string describe(const Crew& crew) const;

  const RunClock& clock_;
  Notifier notifier_;
  Voice voice_;
  bool reloading_ = false;
  std::string note_;
  std::string said_;  // the status that was sent last
  TimePoint next_watchdog_ = TimePoint::max();
};

}  // namespace reactor::prefork
