// SPDX-License-Identifier: MIT
// Crew: starts, watches, replaces and ends the worker processes. The master calls advance() and
// look_after() in each turn; the other functions act on a signal, a notice or the end of a worker.
#include "reactor/prefork/internal/crew.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/prefork/descriptor_limit.h"

namespace reactor::prefork {
namespace {

// How long a worker serves at least before it gets the successor that it asked for.
constexpr Duration kShortestService = std::chrono::seconds(1);

std::string in_ms(Duration duration) {
  return std::to_string(duration / std::chrono::milliseconds(1)) + " ms";
}

// How long a loop is silent before the log names its callback. A healthy loop has turned long
// before.
Duration report_after(Duration timeout) { return timeout / 2; }

}  // namespace

Crew::Crew(Generation first, unsigned slots, std::size_t addresses, Scoreboard& scoreboard,
           const RunClock& clock, ProcessCalls& calls, Run run)
    : current_(std::move(first)),
      addresses_(addresses),
      scoreboard_(scoreboard),
      clock_(clock),
      calls_(calls),
      run_(std::move(run)),
      slots_(slots),
      backoff_(current_.plan.workers) {
  scoreboard_.set_slots(slots);
}

void Crew::add_slot() {
  slots_.emplace_back();
  scoreboard_.set_slots(slots());
}

void Crew::release() {
  held_ = false;
  for (const auto& process : processes_) {
    process->moved = clock_.now();
    if (!process->control || process->control.send({.kind = Message::Kind::serve})) continue;
    REACTOR_LOG(error, process->name() + " can't be told to serve, and is replaced");
    calls_.kill(process->pid, SIGKILL);  // it waits for this message and hears no signal but KILL
  }
}

// ---- Starting ----

void Crew::advance() {
  if (dismissed_) return;
  start_in_empty_slots();
  if (dismissed_ || hopeless_) return;
  retire_surplus();
  start_a_successor();
  // One message for all slots. A worker that has no room for it has messages to read, and looks at
  // the scoreboard at the latest at its next beat.
  if (std::exchange(vacancies_, false)) tell_all({.kind = Message::Kind::look});
}

// A trial puts no slot at risk that has a worker, and no slot that could have one. If no worker
// serves, it may be that only the generation on trial can.
void Crew::start_in_empty_slots() {
  const TimePoint now = clock_.now();
  for (unsigned slot = 0; slot < wanted() && !hopeless_; ++slot) {
    Slot& place = slots_[slot];
    if (place.serving != nullptr || place.not_before > now) continue;
    const bool tries = trial_is_due() && serving() == 0;
    place.serving = tries ? start_trial(slot) : start(slot, current_);
  }
}

// Starts successors one after the other, so that there is never more than one worker more than
// wanted. The oldest worker is replaced first, so that one that always asks for a successor does
// not keep the others waiting.
void Crew::start_a_successor() {
  if (successor_starts()) return;
  const TimePoint now = clock_.now();
  std::optional<unsigned> oldest;
  for (unsigned slot = 0; slot < wanted(); ++slot) {
    if (!needs_successor(slots_[slot]) || next_start(slots_[slot]) > now) continue;
    if (!oldest || slots_[slot].serving->started < slots_[*oldest].serving->started) oldest = slot;
  }
  if (!oldest) return;
  slots_[*oldest].coming = trial_is_due() ? start_trial(*oldest) : start(*oldest, current_);
}

bool Crew::successor_starts() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.coming != nullptr; });
}

bool Crew::needs_successor(const Slot& slot) const {
  if (slot.serving == nullptr || slot.serving->state != WorkerProcess::State::serving) return false;
  return slot.serving->wants_successor || slot.serving->outdated || trial_is_due();
}

// Limits how often a worker gets the successor that it asks for.
TimePoint Crew::next_start(const Slot& slot) const {
  const WorkerProcess* const serving = slot.serving;
  if (serving == nullptr || serving->outdated || trial_is_due()) return slot.not_before;
  return std::max(slot.not_before, saturating_add(serving->started, kShortestService));
}

WorkerProcess* Crew::start(unsigned slot, Generation& generation) {
  auto process = std::make_unique<WorkerProcess>();
  process->slot = slot;
  process->timeout = generation.plan.timeout;
  process->graceful_timeout = generation.plan.graceful_timeout;
  process->started = process->moved = clock_.now();
  Result<ControlPair> control = make_control();
  if (!control) {
    could_not_start(slot, control.error());
    return nullptr;
  }
  process->seat = scoreboard_.take_seat();
  if (process->seat == Scoreboard::kNobody) {  // too many workers have not ended yet
    could_not_start(slot, make_error_code(std::errc::resource_unavailable_try_again));
    return nullptr;
  }
  SignalBlock blocked;
  process->pid = calls_.fork(control->worker);
  if (process->pid == 0) {
    process->pid = ::getpid();
    control->master.close();
    run_(*process, control->worker, generation, blocked);
    ::_exit(kExitFailed);
  }
  if (process->pid < 0) {
    could_not_start(slot, last_system_error());
    scoreboard_.free_seat(process->seat);
    return nullptr;
  }
  process->control = std::move(control->master);
  processes_.push_back(std::move(process));
  return processes_.back().get();
}

// Treats a lack of processes, descriptors or memory like a worker that died at once.
void Crew::could_not_start(unsigned slot, std::error_code error) {
  REACTOR_LOG(error, "can't start worker " + std::to_string(slot) + ": " +
                         explain_limit(error, fixed_descriptors(slots(), addresses_)));
  if (slots_[slot].serving == nullptr) vacate(slot);
  slow_down(slot, Duration::zero());
  slots_[slot].not_before =
      std::max(slots_[slot].not_before, saturating_add(clock_.now(), Backoff::kFirst));
}

// Adds up to a quarter, so that workers that failed together are not started again together.
Duration Crew::with_jitter(Duration pause) noexcept {
  random_ = random_ * 1664525 + 1013904223;
  return pause + pause / 4 * static_cast<Duration::rep>(random_ >> 24U) / 256;
}

// Counts a worker that died or could not start, and sets when its slot tries again. `served`: for
// how long it was ready.
void Crew::slow_down(unsigned slot, Duration served) {
  const Duration pause = with_jitter(backoff_.after_death(served));
  slots_[slot].not_before = saturating_add(clock_.now(), pause);
  if (was_ready_ || ++failed_starts_ < wanted() || hopeless_) return;
  hopeless_ = true;
}

// ---- News ----

void Crew::add_to(std::vector<pollfd>& fds) const {
  for (const auto& process : processes_) {
    if (process->control) fds.push_back({process->control.fd(), POLLIN, 0});
  }
}

void Crew::read_control(int fd) {
  const auto found = std::find_if(processes_.begin(), processes_.end(), [fd](const auto& process) {
    return process->control.fd() == fd;
  });
  if (found == processes_.end()) return;
  WorkerProcess& process = **found;
  switch (process.control.hear()) {
    case Control::Heard::nothing:
      return;
    case Control::Heard::ready:
      return became_ready(process);
    case Control::Heard::renew:
      process.wants_successor = true;
      return;
    case Control::Heard::ended:
      return process.control.close();  // reap() will see its end
    case Control::Heard::broken_rules:
      return expel(process);
  }
}

// Kills a worker that does not behave like our code, and the processes in its group.
void Crew::expel(WorkerProcess& process) {
  REACTOR_LOG(
      error, process.name() + " sent its master what no worker sends; it is killed. " + kSuspicion);
  process.broke_rules = true;
  process.state = WorkerProcess::State::aborted;
  process.control.close();
  calls_.kill(-process.pid, SIGKILL);
  calls_.kill(process.pid, SIGKILL);  // it has no group of its own before setsid(2)
}

void Crew::became_ready(WorkerProcess& process) {
  if (process.state != WorkerProcess::State::starting) return;
  REACTOR_LOG(info, process.name() + " is ready");
  process.state = WorkerProcess::State::serving;
  process.moved = clock_.now();
  process.ready_since = clock_.now();
  was_ready_ = true;
  const bool dropped = is_tried(process) && !enact_trial();
  Slot& slot = slots_[process.slot];
  if (dropped && slot.coming == &process) return turn_away(process);
  WorkerProcess* const old = slot.serving;
  if (slot.coming == &process) slot.serving = std::exchange(slot.coming, nullptr);
  scoreboard_.set_occupant(process.slot, process.seat);  // before the old one hands over
  if (old != nullptr && old != slot.serving) leave(*old, process.slot);
  if (slots() > wanted()) process.control.send({.kind = Message::Kind::look});
}

// From here on the siblings may accept for the slot.
void Crew::vacate(unsigned slot) {
  scoreboard_.set_occupant(slot, Scoreboard::kNobody);
  vacancies_ = true;
}

// `heir`: the slot that gets its idle connections. A worker that ends already keeps its deadline.
void Crew::leave(WorkerProcess& process, unsigned heir) {
  if (process.state >= WorkerProcess::State::leaving) return;
  if (is_tried(process)) trial_->worker = nullptr;  // another one is tried
  process.state = WorkerProcess::State::leaving;
  process.deadline =
      saturating_add(saturating_add(clock_.now(), process.graceful_timeout), kKillDelay);
  const Message message{.kind = Message::Kind::retire,
                        .slot = static_cast<std::uint16_t>(process.slot),
                        .value = heir};
  if (process.control.send(message)) return;
  REACTOR_LOG(warn, process.name() +
                        " can't be told to hand its connections over: it gets TERM, and closes "
                        "those that are idle");
  calls_.kill(process.pid, SIGTERM);
}

void Crew::tell_all(const Message& message, int descriptor) {
  for (const auto& process : processes_) {
    if (!process->control || process->control.send(message, descriptor)) continue;
    if (message.kind == Message::Kind::sibling) process->wants_successor = true;
    if (message.kind == Message::Kind::drop) calls_.kill(process->pid, SIGTERM);
  }
}

bool Crew::reap() {
  bool any = false;
  for (std::size_t i = 0; i < processes_.size();) {
    int status = 0;
    const pid_t result = calls_.wait(processes_[i]->pid, status);
    // ECHILD: the application has waited for this worker, and its exit status is lost.
    if (result == 0 || (result < 0 && errno != ECHILD)) {
      ++i;
      continue;
    }
    const std::unique_ptr<WorkerProcess> process = std::move(processes_[i]);
    processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(i));
    died(*process, status);
    any = true;
  }
  return any;
}

// As process 1 of a container the master inherits the orphans of all other processes there, and
// nobody else waits for them. If the first child to be waited for is a worker, reap() takes it in
// the next turn, and the others wait until then.
void Crew::reap_orphans() {
  siginfo_t info{};
  while (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    const bool ours = std::any_of(processes_.begin(), processes_.end(),
                                  [&](const auto& process) { return process->pid == info.si_pid; });
    if (ours) return;
    ::waitpid(info.si_pid, nullptr, WNOHANG);
    info = {};
  }
}

void Crew::died(WorkerProcess& process, int status) {
  scoreboard_.free_seat(process.seat);
  Slot& slot = slots_[process.slot];
  const bool served = slot.serving == &process;
  const bool came = slot.coming == &process;
  if (came) slot.coming = nullptr;
  if (served) {
    slot.serving = std::exchange(slot.coming, nullptr);
    vacate(process.slot);
  }
  const std::string line = process.name() + " " + how_it_ended(status);
  if (dismissed_ || !(served || came)) {
    REACTOR_LOG(info, line);
    return;
  }
  if (is_tried(process)) return fail_trial(line);
  const bool served_well = process.ready_since && !process.broke_rules;
  slow_down(process.slot, served_well ? clock_.now() - *process.ready_since : Duration::zero());
  const Duration pause = std::max(slot.not_before - clock_.now(), Duration::zero());
  REACTOR_LOG(warn, hopeless_ ? line : line + "; next start in " + in_ms(pause));
}

// ---- Silent workers ----

void Crew::look_after() {
  const TimePoint now = clock_.now();
  next_look_ = TimePoint::max();
  for (const auto& process : processes_) {
    look_after(*process, now);
    if (process->timeout == Duration::zero()) continue;
    next_look_ = std::min(next_look_, saturating_add(now, beat_of(process->timeout)));
  }
}

void Crew::look_after(WorkerProcess& process, TimePoint now) {
  const Duration timeout = process.timeout;
  const std::uint64_t turns = scoreboard_.seat(process.seat).loop.turns.get();
  const bool waits = held_ && process.state == WorkerProcess::State::serving;
  if (turns != process.turns || waits) {
    process.turns = turns;
    process.moved = now;
    process.reported = false;
  }
  if (now >= process.deadline) {
    REACTOR_LOG(warn, process.name() + " did not end in time and is killed");
    process.deadline = TimePoint::max();
    calls_.kill(process.pid, SIGKILL);
  } else if (timeout > Duration::zero() && process.state != WorkerProcess::State::aborted) {
    const bool starting = process.state == WorkerProcess::State::starting;
    const Duration silent = now - (starting ? process.started : process.moved);
    if (silent >= timeout) {
      abort(process, now, starting ? "is not ready" : "has been silent");
    } else if (!starting && silent >= report_after(timeout) && !process.reported) {
      process.reported = true;
      REACTOR_LOG(warn, process.name() + " has been silent for " + in_ms(silent));
      calls_.kill(process.pid, SIGUSR2);  // it reports what it is stuck in
    }
  }
}

void Crew::abort(WorkerProcess& process, TimePoint now, const std::string& why) {
  REACTOR_LOG(error,
              process.name() + " " + why + " for " + in_ms(process.timeout) + " and is aborted");
  process.state = WorkerProcess::State::aborted;
  process.deadline = std::min(process.deadline, saturating_add(now, kKillDelay));
  calls_.kill(process.pid, SIGABRT);
}

TimePoint Crew::next_turn() const {
  TimePoint next = next_look_;
  for (const auto& process : processes_) next = std::min(next, process->deadline);
  if (dismissed_) return next;
  next = std::min(next, next_look_at_rest());
  const bool waits = successor_starts();
  for (unsigned slot = 0; slot < wanted(); ++slot) {
    const Slot& place = slots_[slot];
    const bool due = place.serving == nullptr || (!waits && needs_successor(place));
    if (due) next = std::min(next, next_start(place));
  }
  return next;
}

// ---- The end ----

void Crew::dismiss(int signal_number) {
  dismissed_ = true;
  if (held_) tell_all({.kind = Message::Kind::retire});  // they run no loop to hear the signal
  signal_all(signal_number);
}

void Crew::give_way() {
  dismissed_ = true;
  for (const auto& process : processes_) leave(*process, process->slot);
}

void Crew::signal_all(int signal_number) const {
  for (const auto& process : processes_) calls_.kill(process->pid, signal_number);
}

unsigned Crew::serving() const {
  return static_cast<unsigned>(
      std::count_if(slots_.begin(), slots_.begin() + wanted(), [](const Slot& slot) {
        return slot.serving != nullptr && slot.serving->state == WorkerProcess::State::serving;
      }));
}

bool Crew::complete() const { return serving() == wanted(); }

bool Crew::settled() const {
  return complete() && !successor_starts() && !trial_ &&
         std::none_of(slots_.begin(), slots_.begin() + wanted(),
                      [this](const Slot& slot) { return needs_successor(slot); });
}

// With timeout 0 silence is allowed, so every worker counts as lively.
bool Crew::lively(Duration time) const {
  const TimePoint now = clock_.now();
  return std::all_of(processes_.begin(), processes_.end(), [&](const auto& process) {
    const bool judged =
        process->state == WorkerProcess::State::serving && process->timeout > Duration::zero();
    return !judged || now - process->moved <= time;
  });
}

void Crew::abandon_but(const WorkerProcess& own) noexcept {
  for (const auto& process : processes_) {
    if (process.get() != &own) process->control.close();
  }
}

}  // namespace reactor::prefork
