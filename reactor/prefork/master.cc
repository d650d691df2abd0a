// SPDX-License-Identifier: MIT
#include "reactor/prefork/master.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace reactor::prefork {
namespace {

constexpr Duration kLongestWait = std::chrono::hours(1);  // poll(2) counts milliseconds in an int
constexpr Duration kKillDelay = std::chrono::seconds(2);  // for what should take no time

std::string name_of(unsigned slot, pid_t pid) {
  return "worker " + std::to_string(slot) + " (pid " + std::to_string(pid) + ")";
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "exited with " + std::to_string(WEXITSTATUS(status));
}

// The kernel's part; the control pipe does it everywhere, but not for a worker that is stuck.
void die_with_parent([[maybe_unused]] pid_t parent) {
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (::getppid() != parent) ::_exit(kExitFailed);  // it died before that took effect
}

int run_worker(WorkerFunction& serve, Worker& worker) {
  try {
    return serve(worker);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, std::string("worker ends by an exception: ") + error.what());
  } catch (...) {
    REACTOR_LOG(error, "worker ends by an exception that is no std::exception");
  }
  return kExitFailed;
}

// In one process: no master, no fork.
int run_alone(Options& options, WorkerFunction& serve, Slots& slots) {
  try {
    std::vector<Socket> sockets = slots.sockets_of(0).value();
    slots.close();
    Worker worker(options, 0, std::move(sockets), UniqueFd());
    SignalPipe::unblock();
    return run_worker(serve, worker);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, std::string("can't start: ") + error.what());
    return kExitNotReady;
  }
}

void report(Options& options, const Slots::Failure& failure) {
  if (options.on_bind_error) {
    options.on_bind_error(failure.address, failure.error);
  } else {
    REACTOR_LOG(error,
                "can't listen on " + failure.address.to_string() + ": " + failure.error.message());
  }
}

}  // namespace

int run(Options options, WorkerFunction serve) {
  Slots slots;
  Slots::Failure failure;
  if (!slots.open(options, failure)) {
    report(options, failure);
    return kExitNoListener;
  }
  for (const Address& address : slots.addresses()) {
    if (options.on_listening) options.on_listening(address);
  }
  if (options.workers == 0) return run_alone(options, serve, slots);
  return Master(options, serve, slots).run();
}

int Master::run() {
  if (const std::error_code error = signals_.open()) {
    REACTOR_LOG(error, "can't take over signals: " + error.message());
    return kExitFailed;
  }
  for (;;) {
    start_due_workers();
    if (state_ != State::serving && all_gone()) return exit_code_;
    wait_for_news();
    handle_signals();
    reap();
    check_deadline();
  }
}

// ---- Starting ----

void Master::start_due_workers() {
  const TimePoint now = monotonic_now();
  for (unsigned slot = 0; slot < workers_.size(); ++slot) {
    if (state_ != State::serving) return;
    if (workers_[slot].pid == 0 && workers_[slot].not_before <= now) start_worker(slot);
  }
}

void Master::start_worker(unsigned slot) {
  WorkerProcess& worker = workers_[slot];
  worker.ready = false;
  worker.started = monotonic_now();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) {
    not_started(worker, slot);
    return;
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  for (const int fd : ends) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  const pid_t master = ::getpid();
  SignalBlock blocked;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ours.reset();
    die_with_parent(master);
    become_worker(slot, std::move(theirs), blocked);
  }
  if (pid < 0) {
    not_started(worker, slot);
    return;
  }
  worker.pid = pid;
  worker.control = std::move(ours);
}

// fork() or socketpair() failed: like a worker that died at once.
void Master::not_started(WorkerProcess& worker, unsigned slot) {
  const std::error_code error = last_system_error();
  const Duration pause = std::max(backoff_.after_death(Duration::zero()), Backoff::kFirst);
  worker.not_before = saturating_add(monotonic_now(), pause);
  REACTOR_LOG(error, "can't start worker " + std::to_string(slot) + ": " + error.message());
  count_failed_start();
}

// One for each slot before any worker was ready: it is no use to go on.
void Master::count_failed_start() {
  if (was_ready_ || ++failed_starts_ < workers_.size()) return;
  REACTOR_LOG(error, "no worker became ready; the lines above say why");
  exit_code_ = kExitNotReady;
  end(State::quitting, SIGQUIT);
}

void Master::become_worker(unsigned slot, UniqueFd control, SignalBlock& blocked) {
  signals_.abandon_in_worker();
  // The other workers' control pipes must not stay open here: their end of file is the message.
  for (WorkerProcess& other : workers_) other.control.reset();
  int status = kExitFailed;
  try {
    std::vector<Socket> sockets = slots_.sockets_of(slot).value();
    slots_.close();
    Worker worker(options_, slot, std::move(sockets), std::move(control));
    blocked.lift();  // now that the worker hears them
    status = run_worker(serve_, worker);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, "worker " + std::to_string(slot) + " can't start: " + error.what());
  }
  ::_exit(status);
}

void Master::announce_ready() {
  if (announced_ || state_ != State::serving) return;
  const bool all = std::all_of(workers_.begin(), workers_.end(),
                               [](const WorkerProcess& worker) { return worker.ready; });
  if (!all) return;
  announced_ = true;
  if (options_.on_ready) options_.on_ready();
}

// ---- News ----

void Master::wait_for_news() {
  std::vector<pollfd> fds;
  std::vector<unsigned> slots;
  fds.push_back({signals_.fd(), POLLIN, 0});
  for (unsigned slot = 0; slot < workers_.size(); ++slot) {
    if (!workers_[slot].control) continue;
    fds.push_back({workers_[slot].control.get(), POLLIN, 0});
    slots.push_back(slot);
  }
  const int count = ::poll(fds.data(), static_cast<nfds_t>(fds.size()), next_wait_ms());
  if (count <= 0) return;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (fds[i + 1].revents != 0) read_control(slots[i]);
  }
}

void Master::read_control(unsigned slot) {
  WorkerProcess& worker = workers_[slot];
  char octet = 0;
  const ssize_t count = ::read(worker.control.get(), &octet, 1);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    worker.control.reset();  // its death is for reap() to see
    return;
  }
  worker.ready = was_ready_ = true;
  REACTOR_LOG(info, name_of(slot, worker.pid) + " is ready");
  announce_ready();
}

int Master::next_wait_ms() const {
  TimePoint next = deadline_;
  if (state_ == State::serving) {
    for (const WorkerProcess& worker : workers_) {
      if (worker.pid == 0) next = std::min(next, worker.not_before);
    }
  }
  if (next == TimePoint::max()) return -1;
  const TimePoint now = monotonic_now();
  if (next <= now) return 0;
  const Duration wait = std::min<Duration>(next - now, kLongestWait);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

void Master::handle_signals() {
  while (const int number = signals_.next()) handle_signal(number);
}

void Master::handle_signal(int number) {
  switch (number) {
    case SIGCHLD:
      return;  // reap() looks after each turn
    case SIGTERM:
    case SIGINT:
      if (state_ == State::serving) {
        end(State::draining, SIGTERM, options_.graceful_timeout);
      } else if (number == SIGINT && state_ == State::draining) {
        end(State::quitting, SIGQUIT);
      }
      return;
    case SIGQUIT:
      if (state_ < State::quitting) end(State::quitting, SIGQUIT);
      return;
    case SIGUSR1:
      if (options_.on_reopen) options_.on_reopen();
      send_to_all(SIGUSR1);
      return;
    default:
      REACTOR_LOG(warn, "signal " + std::to_string(number) + " ignored: not supported");
  }
}

// ---- Deaths ----

// Each of our own by its pid: an application's other children are none of our business.
void Master::reap() {
  for (unsigned slot = 0; slot < workers_.size(); ++slot) {
    int status = 0;
    if (workers_[slot].pid == 0) continue;
    const pid_t result = ::waitpid(workers_[slot].pid, &status, WNOHANG);
    // ECHILD: the application waited for it; what its end was is lost.
    if (result > 0 || (result < 0 && errno == ECHILD)) handle_death(slot, status);
  }
}

void Master::handle_death(unsigned slot, int status) {
  WorkerProcess& worker = workers_[slot];
  const std::string name = name_of(slot, worker.pid);
  const TimePoint now = monotonic_now();
  worker.pid = 0;
  worker.ready = false;
  worker.control.reset();
  if (state_ != State::serving) {
    REACTOR_LOG(info, name + " " + how_it_ended(status));
    return;
  }
  const Duration pause = backoff_.after_death(now - worker.started);
  worker.not_before = saturating_add(now, pause);
  REACTOR_LOG(warn, name + " " + how_it_ended(status) + "; next start in " +
                        std::to_string(pause / std::chrono::milliseconds(1)) + " ms");
  count_failed_start();
}

// ---- The end ----

void Master::end(State state, int signal_number, Duration grace) {
  state_ = state;
  deadline_ = saturating_add(saturating_add(monotonic_now(), grace), kKillDelay);
  slots_.close();  // a new connection is refused rather than left waiting for nobody
  send_to_all(signal_number);
}

void Master::send_to_all(int signal_number) const {
  for (const WorkerProcess& worker : workers_) {
    if (worker.pid != 0) ::kill(worker.pid, signal_number);
  }
}

void Master::check_deadline() {
  if (monotonic_now() < deadline_) return;
  REACTOR_LOG(warn, "workers did not end in time and are killed");
  end(State::killing, SIGKILL, kForever);
}

bool Master::all_gone() const noexcept {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const WorkerProcess& worker) { return worker.pid == 0; });
}

}  // namespace reactor::prefork
