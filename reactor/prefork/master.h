// SPDX-License-Identifier: MIT
// Master: forks the workers and looks after them. Private to prefork; run() is its public face.
//
//   slot:  empty -- fork --> starting -- 'R' in the control pipe --> ready
//            ^                   |                                     |
//            +---- back-off -----+-------------- death ---------------+
//
// `ready` is announced when all slots are. Before any was, a death of each slot's worker is the
// end: the workers can't start. On TERM the workers drain, and the deadline cuts off what is left.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/unique_fd.h"
#include "reactor/prefork/backoff.h"
#include "reactor/prefork/prefork.h"
#include "reactor/prefork/signal_pipe.h"
#include "reactor/prefork/slots.h"

namespace reactor::prefork {

class Master {
 public:
  Master(Options& options, WorkerFunction& serve, Slots& slots)
      : options_(options),
        serve_(serve),
        slots_(slots),
        workers_(options.workers),
        backoff_(options.workers) {}
  Master(const Master&) = delete;
  Master& operator=(const Master&) = delete;

  // Until a signal ends it and the last worker is gone. Returns an ExitCode.
  [[nodiscard]] int run();

 private:
  struct WorkerProcess {
    pid_t pid = 0;  // 0: none
    UniqueFd control;
    TimePoint started{};
    TimePoint not_before{};  // of the next fork
    bool ready = false;
  };

  enum class State { serving, draining, quitting, killing };

  void start_due_workers();
  void start_worker(unsigned slot);
  [[noreturn]] void become_worker(unsigned slot, UniqueFd control, SignalBlock& blocked);
  void wait_for_news();
  void read_control(unsigned slot);
  void handle_signals();
  void handle_signal(int number);
  void reap();
  void handle_death(unsigned slot, int status);
  void not_started(WorkerProcess& worker, unsigned slot);
  void count_failed_start();
  void announce_ready();
  void end(State state, int signal_number, Duration grace = {});
  void send_to_all(int signal_number) const;
  void check_deadline();
  [[nodiscard]] bool all_gone() const noexcept;
  [[nodiscard]] int next_wait_ms() const;

  Options& options_;
  WorkerFunction& serve_;
  Slots& slots_;
  SignalPipe signals_;
  std::vector<WorkerProcess> workers_;  // by slot
  Backoff backoff_;
  State state_ = State::serving;
  TimePoint deadline_ = TimePoint::max();
  unsigned failed_starts_ = 0;
  bool was_ready_ = false;  // any worker, once
  bool announced_ = false;
  int exit_code_ = kExitOk;
};

}  // namespace reactor::prefork
