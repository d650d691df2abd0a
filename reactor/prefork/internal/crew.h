// SPDX-License-Identifier: MIT
// Crew: the worker processes. Crew carries out the decisions of the SlotPlan: it forks workers and
// tells them to leave. It reports each event of a worker to the plan. It also watches whether the
// workers' loops turn. Private to prefork.
//
// A slot without a worker that is ready has no occupant on the scoreboard. The other workers see
// that and accept from the slot's queue. The crew sends them a message, so that they look at once.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/slot_plan.h"
#include "reactor/prefork/internal/system/process_calls.h"
#include "reactor/prefork/internal/system/run_clock.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/internal/worker_process.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

class Crew {
 public:
  using Generation = Options::Reload;
  // Puts a generation into force: makes the changes that a failed reload must not leave behind.
  // Called at most once, when a worker of that generation is ready. If a change is impossible,
  // returns the reason, else an empty string. May add slots.
  using Enact = Callback<std::string(Generation&)>;
  // Runs in a new process, right after the fork. It does not return.
  using Run = Callback<void(WorkerProcess&, WorkerControl&, Generation&, SignalBlock&)>;

  // `slots`: at least plan.workers. `addresses`: the number of addresses that each slot listens on.
  // `clock` and `calls` must outlive this Crew.
  Crew(Generation first, unsigned slots, std::size_t addresses, Scoreboard& scoreboard,
       const RunClock& clock, ProcessCalls& calls, Run run);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // The plan of the generation in force.
  [[nodiscard]] const Plan& plan() const noexcept { return current_.plan; }
  // wanted() is how many slots are to have a worker, slots() is how many there are.
  [[nodiscard]] unsigned wanted() const noexcept { return slot_plan_.wanted(); }
  [[nodiscard]] unsigned slots() const noexcept { return slot_plan_.slots(); }
  // wanted(), or the number that it becomes when the generation on trial is put into force.
  [[nodiscard]] unsigned wanted_at_last() const noexcept;
  // Changes how many slots are to have a worker, in the generation in force and in the one on
  // trial. Both numbers stay between 1 and kMostWorkers. The caller makes sure that wanted() does
  // not exceed slots() afterwards.
  void resize(int by);
  void add_slot();
  // Puts `next` on trial, in place of a generation that is on trial already. If no worker was ever
  // ready, `next` is put into force at once.
  void reload(Generation next, Enact enact = {});
  // Replaces all workers under the same plan. A generation on trial stays on trial.
  void renew_all();

  // If hold() was called, workers that are ready wait for release() before they serve, because the
  // sockets still belong to another program. Call hold() before the first advance().
  void hold() noexcept { held_ = true; }
  [[nodiscard]] bool held() const noexcept { return held_; }
  void release();

  // Starts and retires the workers that are due. Called in each turn of the master.
  void advance();
  // Aborts and kills workers that are silent or late. Called in each turn of the master.
  void look_after();
  // When advance() or look_after() has something to do next.
  [[nodiscard]] TimePoint next_turn() const;

  // add_to() adds to `fds` the descriptors on which notices of the workers arrive. read_control()
  // reads one notice from the descriptor `fd`.
  void add_to(std::vector<pollfd>& fds) const;
  void read_control(int fd);
  // Reaps the workers that ended, each by its pid, so that the application's other children are
  // left alone. Returns whether any worker ended.
  bool reap();
  // Reaps all children that are not workers. Called if the master is process 1, which inherits
  // every orphan of the container.
  void reap_orphans();

  // Starts no more workers, and sends this signal to all.
  void dismiss(int signal_number);
  // Starts no more workers. Tells all workers to hand their connections over to the workers of
  // another master, which serve the same slots.
  void give_way();
  void signal_all(int signal_number) const;
  // Sends a message to all workers. If a worker can't be told of a new slot
  // (Message::Kind::sibling), it gets a successor, which knows the slot from the start. If a worker
  // can't be told to drop an address, it gets TERM, and closes all its listeners.
  void tell_all(const Message& message, int descriptor = -1);
  [[nodiscard]] bool empty() const noexcept { return processes_.empty(); }
  // See SlotPlan for these four.
  [[nodiscard]] bool complete() const noexcept { return slot_plan_.complete(); }
  [[nodiscard]] bool settled() const noexcept { return slot_plan_.settled(); }
  [[nodiscard]] unsigned serving() const noexcept { return slot_plan_.serving(); }
  [[nodiscard]] bool hopeless() const noexcept { return slot_plan_.hopeless(); }
  // The reason why the latest reload failed, as a part of a sentence; empty if it did not fail.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
  // Whether the loop of each serving worker has turned within the last `time`.
  [[nodiscard]] bool lively(Duration time) const;

  // Called in a new worker: closes the channels that the master has open to the other workers.
  void abandon_but(const WorkerProcess& own) noexcept;

 private:
  struct Trial {
    Generation generation;
    Enact enact;
  };

  void carry_out(const SlotPlan::Start& start);
  [[nodiscard]] Result<std::unique_ptr<WorkerProcess>> fork_worker(unsigned slot,
                                                                   Generation& generation);
  void could_not_start(unsigned slot, std::error_code error);
  void retire_surplus();
  void say_why_surplus_stays();
  void vacate(unsigned slot);
  void leave(WorkerProcess& process, unsigned heir);
  [[nodiscard]] WorkerProcess* find(pid_t pid) noexcept;
  [[nodiscard]] bool enact_trial();
  void fail_trial();
  void became_ready(WorkerProcess& process);
  void expel(WorkerProcess& process);
  void died(WorkerProcess& process, int status);
  void look_after(WorkerProcess& process, TimePoint now);
  void note_turn(WorkerProcess& process, TimePoint now);
  void abort(WorkerProcess& process, TimePoint now, const std::string& why);

  SlotPlan slot_plan_;
  Generation current_;
  std::optional<Trial> trial_;  // set exactly while a trial is under way in the plan
  const std::size_t addresses_;
  Scoreboard& scoreboard_;
  const RunClock& clock_;
  ProcessCalls& calls_;
  Run run_;
  std::vector<std::unique_ptr<WorkerProcess>> processes_;
  TimePoint next_look_{};
  bool said_why_surplus_stays_ = false;
  bool held_ = false;
  bool vacancies_ = false;  // there are slots without a worker of which the workers were not told
  std::string failure_;
};

}  // namespace reactor::prefork
