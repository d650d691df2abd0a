// SPDX-License-Identifier: MIT
// SlotPlan: decides in which slot the crew starts a worker, and which workers it replaces and
// retires. It is a value: it has no processes and no clock, and knows workers only by numbers.
// Private to prefork.
//
// In each turn the crew asks which starts and retirements are due, and carries them out. It reports
// each start, and each event of a worker. The states of a slot:
//
//   empty -- started() --> starting -- ready() --> served -- started() --> a successor starts too
//     ^                       |                     | ^                            |
//     +------- died() --------+------- died() ------+ +-- ready(): the old leaves -+
//
// Slots from number wanted() on are retired. They keep their listeners, and the other workers
// accept from them. The worker of a retired slot is surplus. It leaves only after every worker that
// stays has shown that it serves.
//
// Workers that are outdated, or that asked for a successor, are replaced one at a time, the oldest
// first. So there is at most one worker more than wanted.
//
// A reload puts the next generation on trial with one worker, which is started with
// Start::on_trial. Nothing that lasts changes before adopt_trial(), so a trial that fails leaves
// nothing to undo:
//
//   begin_trial() --> on trial -- its worker is ready: adopt_trial() --> in force, all other
//                        |                                               workers are outdated
//                        +-- its worker dies, or refuse_trial() --> nothing has changed
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/internal/jitter.h"
#include "reactor/prefork/internal/backoff.h"

namespace reactor::prefork {

class SlotPlan {
 public:
  // The caller's number for a worker, such as its pid. No two living workers share one.
  using Id = int;

  struct Start {
    unsigned slot = 0;
    bool on_trial = false;  // under the generation on trial, else under the one in force
  };

  struct Retirement {
    unsigned slot = 0;
    Id worker = 0;
    unsigned heir = 0;  // the slot that gets its idle connections
  };

  enum class Death : std::uint8_t {
    expected,     // it was replaced or retired before, or everything ends
    ended_trial,  // it was the worker on trial, which is over
    unexpected,   // its slot starts another worker after pause()
  };

  // How long a worker serves at least before it gets the successor that it asked for.
  static constexpr Duration kShortestService = std::chrono::seconds(1);

  // `wanted`: from 1 to `slots`. `seed`: for the jitter of the back-off.
  SlotPlan(unsigned wanted, unsigned slots, std::uint32_t seed);

  // ---- The wanted state ----

  // How many slots are to have a worker.
  [[nodiscard]] unsigned wanted() const noexcept { return wanted_; }
  // From 1 to slots().
  void set_wanted(unsigned wanted) noexcept { wanted_ = wanted; }
  [[nodiscard]] unsigned slots() const noexcept { return static_cast<unsigned>(slots_.size()); }
  void add_slot() { slots_.emplace_back(); }
  // Every worker gets a successor.
  void outdate_all() noexcept;
  // Nothing is due any more, and each death is expected.
  void end() noexcept { ended_ = true; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }

  // ---- The trial ----

  // Begins a trial, in place of one that is under way.
  void begin_trial() noexcept;
  [[nodiscard]] bool is_on_trial(Id worker) const noexcept { return trial_ == worker; }
  // Ends the trial with success. Its generation comes into force with this number of workers, and
  // all workers except the one on trial become outdated.
  void adopt_trial(unsigned wanted) noexcept;
  // Ends the trial. If its worker is still starting, that worker may serve until it is replaced.
  void drop_trial() noexcept;
  // Called instead of ready() and adopt_trial() if the worker on trial is ready but its generation
  // can't be put into force. Returns whether the worker has to leave now. If not, it is alone in
  // its slot: call ready(), and it serves until it is replaced.
  [[nodiscard]] bool refuse_trial(unsigned slot, Id worker) noexcept;

  // ---- What is due ----

  // The next empty slot whose start is due. Report that start before the next call.
  [[nodiscard]] std::optional<Start> empty_slot_due(TimePoint now) const;
  // The slot whose worker has to be replaced next, if no other successor starts.
  [[nodiscard]] std::optional<Start> successor_due(TimePoint now) const;
  // Notes whether there are more workers than wanted. Returns true only in the call in which the
  // surplus begins. The caller then reports all turns up to now, and makes each worker turn once.
  [[nodiscard]] bool surplus_begins(TimePoint now) noexcept;
  // Returns the slot that the surplus workers wait for: its worker is not ready, or its loop has
  // not turned since surplus_begins(). Empty if there is no such slot, or no surplus.
  [[nodiscard]] std::optional<unsigned> surplus_waits_for() const noexcept;
  [[nodiscard]] std::optional<TimePoint> surplus_since() const noexcept { return surplus_since_; }
  // Takes the surplus out of its slots, unless it waits. The caller makes these workers leave.
  [[nodiscard]] std::vector<Retirement> retire_surplus();
  // When something can become due without a report.
  [[nodiscard]] TimePoint next_turn(TimePoint now) const;

  // ---- Reports ----

  void started(const Start& start, Id worker, TimePoint now);
  // The worker could not be started, for lack of processes, descriptors or memory. This counts like
  // a worker that died at once, and the slot waits for Backoff::kFirst at least.
  void could_not_start(unsigned slot, TimePoint now);
  // The worker accepts. Returns the worker that it replaces, which has to leave.
  [[nodiscard]] std::optional<Id> ready(unsigned slot, Id worker, TimePoint now);
  // The worker's loop has turned.
  void turned(unsigned slot, Id worker, TimePoint now) noexcept;
  void wants_successor(unsigned slot, Id worker) noexcept;
  // The worker was told to die, and counts as ready no more.
  void aborted(unsigned slot, Id worker) noexcept;
  // The same for a worker that broke the rules: the time that it served does not count.
  void expelled(unsigned slot, Id worker) noexcept;
  [[nodiscard]] Death died(unsigned slot, Id worker, TimePoint now);

  // ---- The present state ----

  // Whether the slot is this worker's. A successor that starts does not have the slot yet.
  [[nodiscard]] bool has_slot(unsigned slot, Id worker) const noexcept;
  [[nodiscard]] bool is_empty(unsigned slot) const noexcept { return !slots_[slot].holder; }
  // How long the slot's next start has to wait.
  [[nodiscard]] Duration pause(unsigned slot, TimePoint now) const noexcept;
  // How many wanted slots have a worker that is ready.
  [[nodiscard]] unsigned serving() const noexcept;
  [[nodiscard]] bool complete() const noexcept { return serving() == wanted_; }
  // Whether complete(), no worker is being replaced or has to be, and no trial is under way.
  [[nodiscard]] bool settled() const noexcept;
  // Whether any worker was ever ready.
  [[nodiscard]] bool was_ready() const noexcept { return was_ready_; }
  // Whether no worker was ever ready, and as many starts failed as there are wanted slots. If so,
  // no more starts are due.
  [[nodiscard]] bool hopeless() const noexcept { return hopeless_; }

 private:
  struct Worker {
    Id id = 0;
    TimePoint started{}, turned{};
    std::optional<TimePoint> ready_since;  // empty also if it was expelled
    bool ready = false;                    // false also once it was aborted
    bool outdated = false;
    bool wants_successor = false;
  };

  struct Slot {
    std::optional<Worker> holder;     // serves the slot, or starts in it if the slot was empty
    std::optional<Worker> successor;  // starts; only beside a holder
    TimePoint not_before{};           // the earliest time of the next start
  };

  static constexpr Id kToBeStarted = 0;

  [[nodiscard]] Worker* find(unsigned slot, Id worker) noexcept;
  [[nodiscard]] bool trial_is_due() const noexcept { return trial_ == kToBeStarted; }
  [[nodiscard]] bool is_over() const noexcept { return ended_ || hopeless_; }
  [[nodiscard]] bool a_successor_starts() const noexcept;
  [[nodiscard]] bool needs_successor(const Slot& slot) const noexcept;
  [[nodiscard]] TimePoint next_start(const Slot& slot) const noexcept;
  [[nodiscard]] TimePoint next_look_at_surplus(TimePoint now) const noexcept;
  void outdate_all_but(std::optional<Id> spared) noexcept;
  void slow_down(Slot& slot, Duration served, TimePoint now);

  unsigned wanted_;
  std::vector<Slot> slots_;
  std::optional<Id> trial_;  // its worker, or kToBeStarted
  std::optional<TimePoint> surplus_since_;
  Backoff backoff_;
  Jitter jitter_;
  unsigned failed_starts_ = 0;
  bool was_ready_ = false;
  bool hopeless_ = false;
  bool ended_ = false;
};

}  // namespace reactor::prefork
