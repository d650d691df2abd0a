// SPDX-License-Identifier: MIT
// Crew: the worker processes, and which of them serves which slot. Private to prefork.
//
//   slot:  empty -- fork --> starting --> served -- fork --> served, a successor starts
//            ^                  |           ^                          |
//            +---- back-off ----+-- death   +---- it is ready: the old one leaves
//
// Slots from number plan.workers on are retired: their listeners stay open, and siblings accept
// from them. The same goes for any slot whose worker is not ready: the scoreboard shows it, and a
// message makes the workers look there. The worker of a retired slot leaves when all workers that
// stay have shown that they serve (crew_surplus.cc).
//
// Workers that are outdated, or that asked for a successor, are replaced one at a time: the
// successor starts as Slot::coming, and once it is ready it becomes Slot::serving and the old
// worker leaves.
//
// A reload puts the next generation on trial, with one worker. Until that worker is ready, the
// present generation stays in force, and no worker is outdated:
//
//   reload() --> on trial -- its worker is ready, Enact succeeds --> in force, the others outdated
//                   |
//                   +-- its worker dies, or Enact fails --> dropped, and nothing has changed
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/prefork/internal/backoff.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/system/process_calls.h"
#include "reactor/prefork/internal/system/run_clock.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/internal/worker_process.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

class Crew {
 public:
  using Generation = Options::Reload;
  // Puts a generation into force: does all that outlives a failed reload. Called at most once, when
  // a worker of that generation is ready. Returns why it is impossible, or an empty string. May add
  // slots.
  using Enact = Callback<std::string(Generation&)>;
  // Runs in a new process, right after the fork. It does not return.
  using Run = Callback<void(WorkerProcess&, WorkerControl&, Generation&, SignalBlock&)>;

  // `slots`: at least plan.workers. `addresses`: the number of addresses that each slot listens on.
  // `clock` and `calls` outlive this.
  Crew(Generation first, unsigned slots, std::size_t addresses, Scoreboard& scoreboard,
       const RunClock& clock, ProcessCalls& calls, Run run);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // The plan of the generation in force.
  [[nodiscard]] const Plan& plan() const noexcept { return current_.plan; }
  // wanted() is how many slots are to have a worker, slots() is how many there are.
  [[nodiscard]] unsigned wanted() const noexcept { return current_.plan.workers; }
  [[nodiscard]] unsigned slots() const noexcept { return static_cast<unsigned>(slots_.size()); }
  // wanted(), or what it will be once the generation on trial is in force.
  [[nodiscard]] unsigned wanted_at_last() const noexcept;
  // Changes how many slots are to have a worker, in the generation in force and in the one on
  // trial. Each of them stays within 1 to kMostWorkers; wanted() must not exceed slots() then.
  void resize(int by);
  void add_slot();
  // Puts `next` on trial, in place of a generation that is on trial already. If no worker was ever
  // ready, `next` is put into force at once.
  void reload(Generation next, Enact enact = {});
  // Replaces all workers under the same plan. A generation on trial stays on trial.
  void renew_all();

  // After hold() workers become ready but do not serve before release(), because the sockets still
  // belong to another program. Call hold() before the first advance().
  void hold() noexcept { held_ = true; }
  [[nodiscard]] bool held() const noexcept { return held_; }
  void release();

  // Starts and retires the workers that are due. Called in each turn of the master.
  void advance();
  // Aborts and kills workers that are silent or late. Called in each turn of the master.
  void look_after();
  // When advance() or look_after() has something to do next.
  [[nodiscard]] TimePoint next_turn() const;

  // add_to() adds the descriptors that carry the workers' notices, to be polled. read_control()
  // reads one notice.
  void add_to(std::vector<pollfd>& fds) const;
  void read_control(int fd);
  // Reaps the workers that ended, each by its pid, so that the application's other children are
  // left alone. Returns whether any worker ended.
  bool reap();
  // Reaps all other children. Called if the master is process 1, which inherits every orphan of the
  // container.
  void reap_orphans();

  // Starts no more workers, and sends this signal to all.
  void dismiss(int signal_number);
  // Starts no more workers. Tells all to hand over to the workers of another master, which serve
  // the same slots.
  void give_way();
  void signal_all(int signal_number) const;
  // A worker that can't be told of a new slot (Message::Kind::sibling) gets a successor, which
  // knows the slot from the start. One that can't be told to drop an address gets TERM, and closes
  // all its listeners.
  void tell_all(const Message& message, int descriptor = -1);
  [[nodiscard]] bool empty() const noexcept { return processes_.empty(); }
  // Whether each wanted slot has a worker that is ready.
  [[nodiscard]] bool complete() const;
  // Whether complete(), no worker is being replaced or has to be replaced, and none is on trial.
  [[nodiscard]] bool settled() const;
  // How many wanted slots have a worker that is ready.
  [[nodiscard]] unsigned serving() const;
  // Why the latest reload failed, as a part of a sentence; empty if it did not.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  // Whether the loop of each serving worker has turned within the last `time`.
  [[nodiscard]] bool lively(Duration time) const;
  // Whether no worker was ever ready, and as many starts failed as there are wanted slots.
  [[nodiscard]] bool hopeless() const noexcept { return hopeless_; }

  // Called in a new worker: closes what the master has open for the other workers.
  void abandon_but(const WorkerProcess& own) noexcept;

 private:
  struct Slot {
    WorkerProcess* serving = nullptr;  // also while it starts, if the slot was empty
    WorkerProcess* coming = nullptr;   // the successor, while it starts
    TimePoint not_before{};            // the earliest time of the next fork
  };

  struct Trial {
    Generation generation;
    Enact enact;
    WorkerProcess* worker = nullptr;  // at most one, which is not ready yet
  };

  [[nodiscard]] WorkerProcess* start(unsigned slot, Generation& generation);
  [[nodiscard]] WorkerProcess* start_trial(unsigned slot);
  [[nodiscard]] bool trial_is_due() const noexcept { return trial_ && trial_->worker == nullptr; }
  [[nodiscard]] bool is_tried(const WorkerProcess& process) const noexcept {
    return trial_ && trial_->worker == &process;
  }
  [[nodiscard]] bool enact_trial();
  void drop_trial();
  void fail_trial(const std::string& line);
  void turn_away(WorkerProcess& process);
  void could_not_start(unsigned slot, std::error_code error);
  void start_in_empty_slots();
  void start_a_successor();
  void retire_surplus();
  void begin_retiring();
  [[nodiscard]] bool has_surplus() const;
  [[nodiscard]] std::optional<unsigned> first_silent() const;
  void say_why_surplus_stays(unsigned silent);
  [[nodiscard]] TimePoint next_look_at_rest() const;
  void became_ready(WorkerProcess& process);
  void expel(WorkerProcess& process);
  void leave(WorkerProcess& process, unsigned heir);
  void died(WorkerProcess& process, int status);
  void slow_down(unsigned slot, Duration served);
  [[nodiscard]] Duration with_jitter(Duration pause) noexcept;
  void vacate(unsigned slot);
  void look_after(WorkerProcess& process, TimePoint now);
  void abort(WorkerProcess& process, TimePoint now, const std::string& why);
  [[nodiscard]] bool successor_starts() const;
  [[nodiscard]] bool needs_successor(const Slot& slot) const;
  [[nodiscard]] TimePoint next_start(const Slot& slot) const;

  Generation current_;
  std::optional<Trial> trial_;
  const std::size_t addresses_;
  Scoreboard& scoreboard_;
  const RunClock& clock_;
  ProcessCalls& calls_;
  Run run_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<WorkerProcess>> processes_;
  Backoff backoff_;
  TimePoint next_look_{};
  std::optional<TimePoint> surplus_since_;  // set while there are more workers than wanted
  bool said_why_surplus_stays_ = false;
  std::uint32_t random_ = static_cast<std::uint32_t>(::getpid());  // a generator's state
  unsigned failed_starts_ = 0;
  bool was_ready_ = false;  // any worker, ever
  bool hopeless_ = false;
  bool dismissed_ = false;
  bool held_ = false;
  bool vacancies_ = false;  // there are slots without a worker of which the workers were not told
  std::string failure_;
};

}  // namespace reactor::prefork
