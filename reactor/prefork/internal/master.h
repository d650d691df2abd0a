// SPDX-License-Identifier: MIT
// Master: binds, acts on signals, and leaves the workers to the crew. Private to prefork;
// applications call prefork::run(), which makes the Master.
//
// In each turn Master::run() starts the workers that are due. Then it waits for signals, notices
// from the workers, and messages from the other program of an upgrade, and acts on them. The master
// announces that the server is ready when all slots are served. On TERM the workers drain; those
// that have not ended at the deadline are killed.
#pragma once

#include "reactor/base/clock.h"
#include "reactor/prefork/internal/crew.h"
#include "reactor/prefork/internal/herald.h"
#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"
#include "reactor/prefork/internal/system/process_calls.h"
#include "reactor/prefork/internal/system/run_clock.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/internal/upgrade.h"
#include "reactor/prefork/prefork.h"

namespace reactor::prefork {

class Master {
 public:
  Master(Options& options, WorkerFunction serve, ListenerTable& listeners, Inheritance& earlier,
         Scoreboard& scoreboard);
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;
  ~Master();

  // Runs until a signal ends it and the last worker is gone. Returns an ExitCode.
  [[nodiscard]] int run();

 private:
  enum class State { serving, draining, quitting, killing };

  [[noreturn]] void become_worker(WorkerProcess& process, WorkerControl& control,
                                  Crew::Generation& generation, SignalBlock& blocked);
  void steer(const Plan& plan);
  void mend_listeners(bool worker_died);
  void announce_ready();
  void take_possession();
  [[nodiscard]] std::string why_no_upgrade() const;
  void upgrade();
  void look_at_upgrade();
  void give_way();
  void drop(unsigned group);
  void wait_for_news();
  [[nodiscard]] int plan_wait();
  void handle_signals();
  void handle_signal(int number);
  void reload();
  void refuse_reload(const std::string& why);
  [[nodiscard]] std::string enact(Crew::Generation& next);
  void resize(int by);
  [[nodiscard]] std::string why_no_room(unsigned workers) const;
  [[nodiscard]] std::string make_room_for(unsigned workers);
  void announce_slot(unsigned slot);
  void end(State state, int signal_number, Duration grace = {});
  void check_deadline();

  Options& options_;
  ListenerTable& listeners_;
  Inheritance& earlier_;
  Scoreboard& scoreboard_;
  const pid_t parent_;  // the parent of the workers
  Mailboxes mailboxes_;
  SignalPipe signals_;
  const bool upgraded_;  // another program started this one as its upgrade
  RunClock clock_{monotonic_now()};
  Herald herald_;
  ProcessCalls calls_;
  Crew crew_;
  Upgrade upgrade_{clock_};
  State state_ = State::serving;
  TimePoint deadline_ = TimePoint::max();
  TimePoint next_mend_{};
  bool announced_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace reactor::prefork
