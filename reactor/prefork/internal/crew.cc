// SPDX-License-Identifier: MIT
// Crew: starts, replaces and ends the worker processes. The master calls advance() and look_after()
// in each turn; the other functions act on a signal, a notice or the end of a worker. Each of these
// functions reports to the slot plan, and then carries out the plan's decision. crew_reload.cc has
// the trial of a reload, and crew_watch.cc watches for workers whose loops do not turn.
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

// Surplus workers stay until the loops of all workers that stay have turned once. A healthy loop
// turns immediately, unless a callback runs. If a loop has not turned within kBeforeLine, the log
// says which worker the surplus waits for.
constexpr Duration kBeforeLine = std::chrono::seconds(1);

}  // namespace

Crew::Crew(Generation first, unsigned slots, std::size_t addresses, Scoreboard& scoreboard,
           const RunClock& clock, ProcessCalls& calls, Run run)
    : slot_plan_(first.plan.workers, slots, static_cast<std::uint32_t>(::getpid())),
      current_(std::move(first)),
      addresses_(addresses),
      scoreboard_(scoreboard),
      clock_(clock),
      calls_(calls),
      run_(std::move(run)) {
  scoreboard_.set_slots(slots);
}

void Crew::add_slot() {
  slot_plan_.add_slot();
  scoreboard_.set_slots(slots());
}

void Crew::release() {
  held_ = false;
  for (const auto& process : processes_) {
    note_turn(*process, clock_.now());
    if (!process->control || process->control.send({.kind = Message::Kind::serve})) continue;
    REACTOR_LOG(error, process->name() + " can't be told to serve, and is replaced");
    calls_.kill(process->pid, SIGKILL);  // it waits for this message and hears no signal but KILL
  }
}

WorkerProcess* Crew::find(pid_t pid) noexcept {
  const auto found = std::find_if(processes_.begin(), processes_.end(),
                                  [pid](const auto& process) { return process->pid == pid; });
  return found == processes_.end() ? nullptr : found->get();
}

// ---- Starting ----

void Crew::advance() {
  if (slot_plan_.ended()) return;
  while (const auto start = slot_plan_.empty_slot_due(clock_.now())) carry_out(*start);
  if (hopeless()) return;
  retire_surplus();
  if (const auto start = slot_plan_.successor_due(clock_.now())) carry_out(*start);
  // One message is enough for all vacant slots. If a worker's socket has no room for the message,
  // the worker looks at the scoreboard at its next beat at the latest.
  if (std::exchange(vacancies_, false)) tell_all({.kind = Message::Kind::look});
}

void Crew::carry_out(const SlotPlan::Start& start) {
  Generation& generation = start.on_trial ? trial_->generation : current_;
  Result<std::unique_ptr<WorkerProcess>> forked = fork_worker(start.slot, generation);
  if (!forked) return could_not_start(start.slot, forked.error());
  processes_.push_back(std::move(*forked));
  slot_plan_.started(start, processes_.back()->pid, clock_.now());
}

Result<std::unique_ptr<WorkerProcess>> Crew::fork_worker(unsigned slot, Generation& generation) {
  auto process = std::make_unique<WorkerProcess>();
  process->slot = slot;
  process->timeout = generation.plan.timeout;
  process->graceful_timeout = generation.plan.graceful_timeout;
  process->started = process->moved = clock_.now();
  Result<ControlPair> control = make_control();
  if (!control) return control.error();
  process->seat = scoreboard_.take_seat();
  if (process->seat == Scoreboard::kNobody) {  // too many workers have not ended yet
    return make_error_code(std::errc::resource_unavailable_try_again);
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
    const std::error_code error = last_system_error();
    scoreboard_.free_seat(process->seat);
    return error;
  }
  process->control = std::move(control->master);
  return process;
}

void Crew::could_not_start(unsigned slot, std::error_code error) {
  REACTOR_LOG(error, "can't start worker " + std::to_string(slot) + ": " +
                         explain_limit(error, fixed_descriptors(slots(), addresses_)));
  if (slot_plan_.is_empty(slot)) vacate(slot);
  slot_plan_.could_not_start(slot, clock_.now());
}

// ---- Retiring ----

void Crew::retire_surplus() {
  if (slot_plan_.surplus_begins(clock_.now())) {
    said_why_surplus_stays_ = false;
    look_after();                             // from here on only new turns count
    tell_all({.kind = Message::Kind::look});  // a sleeping loop turns only if a message comes
  }
  for (const SlotPlan::Retirement& retired : slot_plan_.retire_surplus()) {
    vacate(retired.slot);
    leave(*find(retired.worker), retired.heir);
  }
  say_why_surplus_stays();
}

void Crew::say_why_surplus_stays() {
  const std::optional<unsigned> slot = slot_plan_.surplus_waits_for();
  if (!slot || clock_.now() - *slot_plan_.surplus_since() < kBeforeLine) return;
  if (std::exchange(said_why_surplus_stays_, true)) return;
  const auto holder = std::find_if(processes_.begin(), processes_.end(), [&](const auto& process) {
    return slot_plan_.has_slot(*slot, process->pid);
  });
  const std::string name =
      holder == processes_.end() ? "worker " + std::to_string(*slot) : (*holder)->name();
  REACTOR_LOG(warn, name +
                        " does not serve now: workers that have to retire go on until it serves, "
                        "or its successor does");
}

// From here on the siblings may accept for the slot.
void Crew::vacate(unsigned slot) {
  scoreboard_.set_occupant(slot, Scoreboard::kNobody);
  vacancies_ = true;
}

// `heir`: the slot that gets its idle connections. A worker that ends already keeps its deadline.
void Crew::leave(WorkerProcess& process, unsigned heir) {
  if (process.state >= WorkerProcess::State::leaving) return;
  process.state = WorkerProcess::State::leaving;
  process.deadline =
      saturating_add(saturating_add(clock_.now(), process.graceful_timeout), kKillDelay);
  const Message message{.kind = Message::Kind::retire,
                        .slot = static_cast<std::uint16_t>(process.slot),
                        .value = heir};
  if (process.control.send(message)) return;
  REACTOR_LOG(warn, process.name() +
                        " can't be told to hand its connections over: it gets TERM, and closes "
                        "the idle ones");
  calls_.kill(process.pid, SIGTERM);
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
      return slot_plan_.wants_successor(process.slot, process.pid);
    case Control::Heard::ended:
      return process.control.close();  // reap() will see its end
    case Control::Heard::broken_rules:
      return expel(process);
  }
}

// Kills a worker that does not behave like our code, and the processes in its group.
void Crew::expel(WorkerProcess& process) {
  REACTOR_LOG(error, process.name() +
                         " sent its master a byte that no worker sends, and is killed. " +
                         kSuspicion);
  process.state = WorkerProcess::State::aborted;
  process.control.close();
  slot_plan_.expelled(process.slot, process.pid);
  calls_.kill(-process.pid, SIGKILL);
  calls_.kill(process.pid, SIGKILL);  // it has no group of its own before setsid(2)
}

void Crew::became_ready(WorkerProcess& process) {
  if (process.state != WorkerProcess::State::starting) return;
  REACTOR_LOG(info, process.name() + " is ready");
  process.state = WorkerProcess::State::serving;
  process.moved = clock_.now();
  const bool refused = slot_plan_.is_on_trial(process.pid) && !enact_trial();
  if (refused && slot_plan_.refuse_trial(process.slot, process.pid)) {
    return leave(process, process.slot);
  }
  const std::optional<pid_t> replaced = slot_plan_.ready(process.slot, process.pid, clock_.now());
  scoreboard_.set_occupant(process.slot, process.seat);  // before the old one hands over
  if (replaced) leave(*find(*replaced), process.slot);
  if (slots() > wanted()) process.control.send({.kind = Message::Kind::look});
}

void Crew::tell_all(const Message& message, int descriptor) {
  for (const auto& process : processes_) {
    if (!process->control || process->control.send(message, descriptor)) continue;
    if (message.kind == Message::Kind::sibling) {
      slot_plan_.wants_successor(process->slot, process->pid);
    }
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
// nobody else waits for them. If the first child that waitid(2) finds is a worker, reap() takes
// that worker in the next turn, and the orphans wait until then.
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
  if (slot_plan_.has_slot(process.slot, process.pid)) vacate(process.slot);
  const std::string line = process.name() + " " + how_it_ended(status);
  switch (slot_plan_.died(process.slot, process.pid, clock_.now())) {
    case SlotPlan::Death::expected:
      REACTOR_LOG(info, line);
      return;
    case SlotPlan::Death::ended_trial:
      REACTOR_LOG(warn, line);
      return fail_trial();
    case SlotPlan::Death::unexpected:
      const auto pause =
          slot_plan_.pause(process.slot, clock_.now()) / std::chrono::milliseconds(1);
      const std::string next = "; next start in " + std::to_string(pause) + " ms";
      REACTOR_LOG(warn, hopeless() ? line : line + next);
  }
}

// ---- The end ----

void Crew::dismiss(int signal_number) {
  slot_plan_.end();
  if (held_) tell_all({.kind = Message::Kind::retire});  // they run no loop to hear the signal
  signal_all(signal_number);
}

void Crew::give_way() {
  slot_plan_.end();
  for (const auto& process : processes_) leave(*process, process->slot);
}

void Crew::signal_all(int signal_number) const {
  for (const auto& process : processes_) calls_.kill(process->pid, signal_number);
}

void Crew::abandon_but(const WorkerProcess& own) noexcept {
  for (const auto& process : processes_) {
    if (process.get() != &own) process->control.close();
  }
}

}  // namespace reactor::prefork
