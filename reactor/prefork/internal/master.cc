// SPDX-License-Identifier: MIT
// Master: its turn, the signals, and the start of a worker in a forked process. master_reload.cc
// has the reload, master_upgrade.cc the upgrade, master_listeners.cc the number of workers.
#include "reactor/prefork/internal/master.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <string>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/prefork/descriptor_limit.h"
#include "reactor/prefork/internal/alone.h"
#include "reactor/prefork/internal/system/close_apart.h"
#include "reactor/prefork/internal/system/isolation.h"
#include "reactor/prefork/internal/system/parent.h"
#include "reactor/prefork/internal/worker_forked.h"
#include "reactor/prefork/processors.h"

namespace reactor::prefork {
namespace {

// A worker that can't be pinned serves all the same.
void pin(const WorkerProcess& process, const Plan& plan) {
  if (plan.processors.empty()) return;
  const int processor = plan.processors[process.slot % plan.processors.size()];
  if (const std::error_code error = pin_to(processor)) {
    REACTOR_LOG(warn, process.name() + " can't be pinned to processor " +
                          std::to_string(processor) + ": " + error.message());
  }
}

void report(Options& options, const ListenerTable::Failure& failure) {
  if (options.on_bind_error) {
    options.on_bind_error(failure.bind, failure.error);
  } else {
    REACTOR_LOG(error,
                "can't listen on " + to_string(failure.bind) + ": " + failure.error.message());
  }
}

}  // namespace

int run(Options options, WorkerFunction serve) {
  // As soon as the log says which addresses this server listens on, an operator may send signals.
  // So the signals are blocked until the handlers are set. At the end the caller's signal mask is
  // restored.
  const SignalBlock unheard(SignalPipe::signals());
  options.workers = std::min(options.workers, kMostWorkers);
  Inheritance earlier = Inheritance::take();
  if (earlier.broken()) return kExitFailed;
  if (earlier && options.workers == 0) {
    REACTOR_LOG(
        error,
        "workers = 0 can't take over from a program with workers, whose connections would be "
        "lost; set workers to 1 or more, or restart instead of an upgrade");
    return kExitFailed;
  }
  ListenerTable listeners;
  ListenerTable::Failure failure;
  if (!listeners.open(options, earlier, failure)) {
    report(options, failure);
    return kExitNoListener;
  }
  for (const Endpoint& endpoint : listeners.addresses()) {
    if (options.on_listening && !earlier) options.on_listening(endpoint);
  }
  if (options.workers == 0) return run_alone(options, serve, listeners);
  Result<std::unique_ptr<Scoreboard>> scoreboard = Scoreboard::make();
  if (scoreboard) return Master(options, std::move(serve), listeners, earlier, **scoreboard).run();
  REACTOR_LOG(error, "can't share memory with the workers: " + scoreboard.error().message());
  return kExitNotReady;
}

void hold_signals() noexcept { SignalPipe::block(); }

Master::Master(Options& options, WorkerFunction serve, ListenerTable& listeners,
               Inheritance& earlier, Scoreboard& scoreboard)
    : options_(options),
      listeners_(listeners),
      earlier_(earlier),
      scoreboard_(scoreboard),
      parent_(::getpid()),
      upgraded_(earlier),
      herald_(clock_, upgraded_),
      crew_(
          {options, std::move(serve)}, listeners.slots(), listeners.groups(), scoreboard, clock_,
          calls_,
          [this](WorkerProcess& process, WorkerControl& control, Crew::Generation& generation,
                 SignalBlock& blocked) { become_worker(process, control, generation, blocked); }) {
  if (upgraded_) crew_.hold();
}

// A worker does not run this, because it leaves by _exit(2).
Master::~Master() {
  mailboxes_.leave();
  close_apart(listeners_.release_all());
}

int Master::run() {
  std::error_code error = signals_.open();
  mailboxes_.adopt(earlier_.take_mailboxes());
  if (!error) error = mailboxes_.grow(crew_.slots());
  if (error) {
    REACTOR_LOG(error,
                "can't start: " +
                    explain_limit(error, fixed_descriptors(crew_.slots(), listeners_.groups())));
    return kExitNotReady;
  }
  steer(crew_.plan());
  for (;;) {
    crew_.advance();
    if (crew_.hopeless() && state_ == State::serving) {
      exit_code_ = kExitNotReady;
      end(State::quitting, SIGQUIT);
    }
    announce_ready();
    herald_.look(crew_);
    if (state_ != State::serving && crew_.empty() && !upgrade_.running()) break;
    wait_for_news();
    handle_signals();
    look_at_upgrade();
    mend_listeners(crew_.reap());
    if (parent_ == 1) crew_.reap_orphans();
    crew_.look_after();
    check_deadline();
  }
  // Logged last, after the workers' own messages.
  if (exit_code_ == kExitNotReady) {
    REACTOR_LOG(error, "no worker became ready, so the server gives up; the lines above say why");
  }
  return exit_code_;
}

// Steers connections to the workers on the processors that receive them, if the plan asks for that,
// and logs how many addresses are steered.
void Master::steer(const Plan& plan) {
  std::vector<int> of_slots;
  const std::vector<int>& processors = plan.processors;
  for (unsigned slot = 0; slot < crew_.slots() && !processors.empty(); ++slot) {
    of_slots.push_back(processors[slot % processors.size()]);
  }
  const bool distinct = of_slots.size() <= processors.size();
  if (!distinct) of_slots.clear();
  const unsigned steered = listeners_.steer(of_slots);
  std::string text = std::to_string(listeners_.groups()) + " addresses: ";
  unsigned balanced = 0;
  for (unsigned group = 0; group < listeners_.groups(); ++group) {
    if (listeners_.listener(0, group) >= 0) ++balanced;
  }
  text += std::to_string(steered) + " steered by processor, " + std::to_string(balanced - steered) +
          " with a socket per worker, " + std::to_string(listeners_.groups() - balanced) +
          " with one for all";
  if (!processors.empty())
    text += "; workers pinned to processors " + processors_to_string(processors);
  REACTOR_LOG(info, text);
}

// Looks at the listeners once a second, because a worker can make them deaf for all processes. That
// worker may die right afterwards, so also looks whenever a worker has died.
void Master::mend_listeners(bool worker_died) {
  if (state_ != State::serving || (!worker_died && clock_.now() < next_mend_)) return;
  next_mend_ = saturating_add(clock_.now(), std::chrono::seconds(1));
  const unsigned mended = listeners_.mend();
  if (mended == 0) return;
  REACTOR_LOG(error, "a worker had made " + std::to_string(mended) + " listening sockets deaf; " +
                         "they listen again, and the workers are replaced. " + kSuspicion);
  steer(crew_.plan());
  crew_.renew_all();
}

void Master::become_worker(WorkerProcess& process, WorkerControl& control,
                           Crew::Generation& generation, SignalBlock& blocked) {
  if (!isolate_worker(options_.identity)) ::_exit(kExitFailed);
  die_with(parent_);  // after the change of user, which clears it
  signals_.abandon_in_worker();
  // Copies left open here would hide the end of the master from the other workers.
  crew_.abandon_but(process);
  upgrade_.abandon();
  earlier_.abandon();
  if (options_.on_fork) options_.on_fork();
  int status = kExitFailed;
  pin(process, generation.plan);
  try {
    Worker::Sockets sockets{listeners_.listeners_of(process.slot).value(),
                            listeners_.datagrams().value()};
    auto forked = std::make_unique<Worker::Forked>(Worker::Forked{
        std::move(control), scoreboard_, process.seat, listeners_, mailboxes_, crew_.held()});
    Worker worker(options_, generation.plan, process.slot, std::move(sockets), std::move(forked));
    blocked.lift();  // now the worker handles the signals
    status = worker.execute(generation.serve);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, "worker " + std::to_string(process.slot) + " can't start: " + error.what());
  }
  ::_exit(status);
}

void Master::announce_ready() {
  if (announced_ || state_ != State::serving || !crew_.complete()) return;
  if (crew_.held()) {
    earlier_.say_ready();  // take_possession() follows when the earlier program lets go
    return;
  }
  announced_ = true;
  Callback<void()>& announce = upgraded_ ? options_.on_succession : options_.on_ready;
  if (announce) announce();
  herald_.begin(crew_);
}

// Called when the earlier program let go or died: its sockets belong to this program now.
void Master::take_possession() {
  if (const std::error_code error = listeners_.take_possession()) {
    REACTOR_LOG(error, "can't listen at each socket: " + error.message());
  }
  crew_.release();
  steer(crew_.plan());
}

// ---- News ----

void Master::wait_for_news() {
  std::vector<pollfd> fds;
  fds.push_back({signals_.fd(), POLLIN, 0});
  fds.push_back({upgrade_.fd(), POLLIN, 0});  // poll(2) ignores -1
  fds.push_back({earlier_.fd(), POLLIN, 0});
  crew_.add_to(fds);
  const int count = ::poll(fds.data(), static_cast<nfds_t>(fds.size()), plan_wait());
  if (!clock_.begin_turn(monotonic_now())) herald_.resume();
  if (count <= 0) return;
  if (fds[2].revents != 0 && earlier_.end_of_earlier()) take_possession();
  for (std::size_t i = 3; i < fds.size(); ++i) {
    if (fds[i].revents != 0) crew_.read_control(fds[i].fd);
  }
}

// Returns milliseconds for poll(2), or -1.
int Master::plan_wait() {
  const TimePoint next =
      std::min({deadline_, upgrade_.next_turn(), crew_.next_turn(), herald_.next_turn(),
                state_ == State::serving ? next_mend_ : TimePoint::max()});
  if (next == TimePoint::max()) {
    clock_.plan(kForever);
    return -1;
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(
      std::clamp<Duration>(next - clock_.now(), Duration::zero(), RunClock::kLongestWait));
  clock_.plan(wait);
  return static_cast<int>(wait.count());
}

void Master::handle_signals() {
  while (const int number = signals_.next()) handle_signal(number);
}

void Master::handle_signal(int number) {
  switch (number) {
    case SIGCHLD:
      return;  // the crew reaps in each turn
    case SIGTERM:
    case SIGINT:
      if (state_ == State::serving) {
        end(State::draining, SIGTERM, crew_.plan().graceful_timeout);
      } else if (number == SIGINT && state_ == State::draining) {
        end(State::quitting, SIGQUIT);
      }
      return;
    case SIGQUIT:
      if (state_ < State::quitting) end(State::quitting, SIGQUIT);
      return;
    case SIGUSR1:
      if (options_.on_reopen) options_.on_reopen();
      crew_.signal_all(SIGUSR1);
      return;
    case SIGHUP:
      if (state_ == State::serving) reload();
      return;
    case SIGUSR2:
      if (state_ == State::serving) upgrade();
      return;
    case SIGTTIN:
      if (state_ == State::serving) resize(1);
      return;
    case SIGTTOU:
      if (state_ == State::serving) resize(-1);
      return;
    default:
      REACTOR_LOG(warn, "signal " + std::to_string(number) + " ignored: not supported");
  }
}

// ---- The end ----

void Master::end(State state, int signal_number, Duration grace) {
  herald_.stop(exit_code_ == kExitOk ? "stopping" : "no worker became ready",
               grace + 2 * kKillDelay);
  upgrade_.cancel("comes too late");
  state_ = state;
  deadline_ = saturating_add(saturating_add(clock_.now(), grace), kKillDelay);
  // From here on new connections are refused. The workers still serve the connections in the accept
  // queues. Sockets that belong to another program stay as they are.
  listeners_.refuse_new();
  close_apart(listeners_.release_own());
  crew_.dismiss(signal_number);
}

void Master::check_deadline() {
  if (clock_.now() < deadline_) return;
  REACTOR_LOG(warn, "workers did not end in time and are killed");
  state_ = State::killing;
  deadline_ = TimePoint::max();
  crew_.dismiss(SIGKILL);
}

}  // namespace reactor::prefork
