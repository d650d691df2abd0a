// SPDX-License-Identifier: MIT
// Crew: the worker processes, and who serves which slot. Private to prefork.
//
//   slot:  empty -- fork --> starting --> served -- fork --> served, a successor starts
//            ^                  |           ^                          |
//            +---- back-off ----+-- death   +---- it is ready: the old one leaves
//
// Slots from plan.workers on are retired: their listeners stay open and siblings accept from them.
// They do so too while a slot is empty for longer than a fork takes. A retired slot's worker leaves
// when all workers that stay have shown that they serve (crew_surplus.cc).
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
#include "reactor/prefork/backoff.h"
#include "reactor/prefork/board.h"
#include "reactor/prefork/options.h"
#include "reactor/prefork/process.h"
#include "reactor/prefork/process_calls.h"
#include "reactor/prefork/run_clock.h"
#include "reactor/prefork/signal_pipe.h"

namespace reactor::prefork {

class Crew {
 public:
  using Generation = Options::Reload;
  // What runs in a new process, right after the fork; it does not return.
  using Run = Callback<void(Process&, WorkerControl&, Generation&, SignalBlock&)>;

  // `slots`: at least as many as the plan has workers. `addresses`: that each of them listens on.
  // `clock` and `calls` outlive this.
  Crew(Generation first, unsigned slots, std::size_t addresses, Board& board, const RunClock& clock,
       ProcessCalls& calls, Run run);
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Of the generation that is served, or comes.
  [[nodiscard]] const Plan& plan() const noexcept { return current_.plan; }
  // How many slots are to be served, and how many there are.
  [[nodiscard]] unsigned wanted() const noexcept { return current_.plan.workers; }
  [[nodiscard]] unsigned slots() const noexcept { return static_cast<unsigned>(slots_.size()); }
  void set_wanted(unsigned workers);  // at most slots()
  void add_slot();
  // Goes over to the next generation, worker by worker; stays with the present one where the first
  // of the new workers does not become ready.
  void reload(Generation next);
  // Replaces all workers, by the same plan.
  void renew_all();

  // The workers that become ready don't serve before release(): the sockets are still another
  // program's. Before the first advance().
  void hold() noexcept { held_ = true; }
  [[nodiscard]] bool held() const noexcept { return held_; }
  void release();

  // Starts and ends what is due; the master does so in each of its turns.
  void advance();
  // Aborts and kills who is silent or late; in each turn too.
  void look_after();
  // When one of these two has something to do next.
  [[nodiscard]] TimePoint next_turn() const;

  // The control sockets, to be polled, and what came from one of them.
  void add_to(std::vector<pollfd>& fds) const;
  void read_control(int fd);
  // Waits for those that died, each by its pid: the application's other children are its own.
  // Returns whether any did.
  bool reap();
  // Reaps all other children. As process 1 the master inherits every orphan of the container.
  void reap_orphans();

  // No more starts, and this signal to all.
  void dismiss(int signal_number);
  // No more starts; all hand over to the workers of another master, who have the same slots.
  void give_way();
  void signal_all(int signal_number) const;
  void tell_all(const Message& message, int descriptor = -1) const;
  [[nodiscard]] bool empty() const noexcept { return processes_.empty(); }
  // Each slot has a worker that accepts.
  [[nodiscard]] bool complete() const;
  // Besides that, each is of the present generation.
  [[nodiscard]] bool settled() const;
  // How many slots have one.
  [[nodiscard]] unsigned serving() const;
  // The latest generation came to nothing, and the one before it serves.
  [[nodiscard]] bool rolled_back() const noexcept { return rolled_back_; }
  // All have turned within the last `time`.
  [[nodiscard]] bool lively(Duration time) const;
  // Nobody was ever ready, and as many died as there are slots.
  [[nodiscard]] bool hopeless() const noexcept { return hopeless_; }

  // In a new worker: drops what is the master's.
  void abandon_but(const Process& own) noexcept;

 private:
  struct Slot {
    Process* serving = nullptr;  // or starting, where nobody was there before
    Process* coming = nullptr;   // the successor, while it starts
    TimePoint not_before{};      // of the next fork
    bool orphaned = false;       // its siblings know that nobody serves it
  };

  [[nodiscard]] Process* start(unsigned slot);
  void could_not_start(unsigned slot, std::error_code error);
  void start_in_empty_slots();
  void start_a_successor();
  void retire_surplus();
  void begin_retiring();
  [[nodiscard]] bool has_surplus() const;
  [[nodiscard]] std::optional<unsigned> first_silent() const;
  void say_why_surplus_stays(unsigned silent);
  [[nodiscard]] TimePoint next_look_at_rest() const;
  void became_ready(Process& process);
  void expel(Process& process);
  void leave(Process& process, unsigned heir);
  void died(Process& process, int status);
  void slow_down(unsigned slot, Duration lived);
  [[nodiscard]] Duration with_jitter(Duration pause) noexcept;
  void roll_back();
  void set_orphaned(unsigned slot, bool orphaned);
  void look_after(Process& process, TimePoint now);
  void abort(Process& process, TimePoint now, const std::string& why);
  [[nodiscard]] bool successor_starts() const;
  [[nodiscard]] bool outdated(const Slot& slot) const;
  [[nodiscard]] TimePoint next_start(const Slot& slot) const;

  Generation current_;
  std::optional<Generation> earlier_;  // to go back to, while nobody of the current one was ready
  unsigned generation_ = 0;
  unsigned earlier_generation_ = 0;
  unsigned generations_ = 0;  // ever
  const std::size_t addresses_;
  Board& board_;
  const RunClock& clock_;
  ProcessCalls& calls_;
  Run run_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<Process>> processes_;
  Backoff backoff_;
  TimePoint next_look_{};
  std::optional<TimePoint> surplus_since_;  // there are more workers than wanted
  bool said_why_surplus_stays_ = false;
  std::uint32_t random_ = static_cast<std::uint32_t>(::getpid());  // a generator's state
  unsigned failed_starts_ = 0;
  bool was_ready_ = false;  // anybody, ever
  bool hopeless_ = false;
  bool dismissed_ = false;
  bool held_ = false;
  bool rolled_back_ = false;
};

}  // namespace reactor::prefork
