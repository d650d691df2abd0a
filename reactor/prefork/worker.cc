// SPDX-License-Identifier: MIT
// Worker: runs the loop, and ends it in one of these ways. TERM drains, because the server ends:
// queued connections are served, and busy ones may finish. On Message::Kind::retire from the
// master, idle connections are handed over to another worker, and after half of the graceful
// timeout the rest is drained. QUIT, the end of the master, and the end of the graceful timeout
// stop the loop at once.
#include "reactor/prefork/worker.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <random>
#include <string>

#include "reactor/base/log.h"
#include "reactor/prefork/fork_server.h"
#include "reactor/prefork/internal/stuck_report.h"
#include "reactor/prefork/internal/worker_forked.h"

namespace reactor::prefork {
namespace {

LoopOptions loop_options(const Plan& plan, Worker::Forked* forked) {
  LoopOptions options{.backend = plan.backend};
  if (forked != nullptr) options.stats = &forked->scoreboard.seat(forked->seat).loop;
  return options;
}

// Lowers the number at random, by up to a tenth.
std::uint64_t with_jitter(std::uint64_t requests) {
  std::random_device random;
  return requests - random() % (requests / 10 + 1);
}

}  // namespace

Worker::Worker(Options& options, const Plan& plan, unsigned index, Sockets sockets,
               std::unique_ptr<Forked> forked)
    : options_(options),
      plan_(plan),
      index_(index),
      sockets_(std::move(sockets)),
      forked_(std::move(forked)),
      own_loop_(std::in_place, loop_options(plan, forked_.get())),
      loop_(*own_loop_) {
  watch_signals();
  if (forked_ == nullptr) return;
  Forked& own = *forked_;
  own.siblings = std::make_unique<Siblings>(loop_, own.scoreboard, own.listeners, own.mailboxes,
                                            index_, own.seat);
  report_when_stuck(loop_, index_, options_.report_descriptor);
  watch_master();
  if (plan_.timeout > Duration::zero() || own.scoreboard.slots() > 1) start_beating();
}

Worker::Worker(Options& options, const Plan& plan, unsigned index, Child& child)
    : options_(options), plan_(plan), index_(index), loop_(child.loop()), child_(&child) {
  watch_reopen();
}

Worker::~Worker() { stop_reports(loop_); }

void Worker::watch_signals() {
  const auto on = [this](int number, Callback<void()> callback) {
    SignalWatcher watcher = loop_.on_signal(number, std::move(callback)).value();
    watcher.unref();
    signals_.push_back(std::move(watcher));
  };
  on(SIGTERM, [this] { drain(); });
  signals_.front().ref();  // keeps an idle worker running until it drains
  on(SIGQUIT, [this] { end_now("QUIT"); });
  watch_reopen();
  if (forked_ != nullptr) return;
  // Without a master this process handles the master's signals itself. Forked workers ignore these
  // signals: Ctrl-C in a terminal reaches all processes, but is meant for the master.
  on(SIGINT, [this] { draining_ ? end_now("INT while it drains") : drain(); });
  const auto ignore = [](int number) {
    REACTOR_LOG(warn, "signal " + std::to_string(number) + " ignored: no workers to act on");
  };
  on(SIGHUP, [this, ignore] { on_reload_ ? on_reload_() : ignore(SIGHUP); });
  for (const int ignored : {SIGUSR2, SIGTTIN, SIGTTOU}) {
    on(ignored, [ignored, ignore] { ignore(ignored); });
  }
}

void Worker::watch_reopen() {
  signals_.push_back(loop_.on_signal(SIGUSR1, [this] { reopen(); }).value());
  signals_.back().unref();
}

void Worker::reopen() {
  if (options_.on_reopen) options_.on_reopen();
  if (fork_server_ != nullptr) fork_server_->signal_children(SIGUSR1);
}

void Worker::watch_master() {
  master_ =
      loop_.watch(forked_->control.fd(), Interest::read, [this](Ready) { hear_master(); }).value();
  master_.unref();
}

void Worker::hear_master() {
  for (;;) {
    WorkerControl::Received received = forked_->control.receive();
    if (received.ended) {
      master_.stop();
      end_now("the master is gone");
      return;
    }
    if (received.later) return pause_master();
    if (!received.message) return;
    hear(*received.message, std::move(received.descriptor));
  }
}

void Worker::pause_master() {
  static_cast<void>(master_.set(Interest::none));
  listen_again_ = loop_.after(WorkerControl::kRetryDelay,
                              [this] { static_cast<void>(master_.set(Interest::read)); });
  listen_again_.unref();
}

void Worker::hear(const Message& message, UniqueFd descriptor) {
  if (message.kind == Message::Kind::serve) {
    forked_->held = false;
  } else if (message.kind == Message::Kind::retire) {
    retire(message.value);
  } else {
    forked_->siblings->hear(message, std::move(descriptor));
    if (message.kind == Message::Kind::sibling && !beat_) start_beating();
  }
}

// Waits, in the new program of an upgrade, until the old program has let go of the sockets. The
// loop does not run yet, because it would accept connections that still belong to the old program.
// Returns false if the master has ended or retires this worker, so that there is nothing to serve.
bool Worker::wait_to_serve() {
  while (forked_ != nullptr && forked_->held) {
    pollfd news{forked_->control.fd(), POLLIN, 0};
    ::poll(&news, 1, -1);
    WorkerControl::Received next = forked_->control.receive();
    if (next.ended) return false;
    if (next.later) ::poll(nullptr, 0, WorkerControl::kRetryDelay / std::chrono::milliseconds(1));
    if (!next.message) continue;
    if (next.message->kind == Message::Kind::retire) return false;
    hear(*next.message, std::move(next.descriptor));
  }
  return true;
}

// Makes an idle loop turn at each beat, to show that no callback blocks it, and to look at the
// siblings. A worker without a sibling and without a timeout needs no beat.
void Worker::start_beating() {
  const bool limited = plan_.timeout > Duration::zero();
  const Duration beat = limited ? beat_of(plan_.timeout) : std::chrono::seconds(1);
  beat_ = loop_.every(beat, [this] { forked_->siblings->beat(); });
  beat_.unref();
}

void Worker::say_ready() {
  if (forked_ == nullptr) {
    if (options_.on_ready) options_.on_ready();
  } else if (!forked_->control.say_ready()) {
    end_now("the master is gone, or can't be told that it is ready");
  }
}

void Worker::renew() {
  if (forked_ != nullptr) forked_->control.ask_for_successor();
}

int Worker::execute(WorkerFunction& serve) noexcept {
  try {
    return serve_by_model(serve);
  } catch (const std::exception& error) {
    REACTOR_LOG(error, std::string("worker ends by an exception: ") + error.what());
  } catch (...) {
    REACTOR_LOG(error, "worker ends by an exception that is not a std::exception");
  }
  return kExitFailed;
}

int Worker::serve_by_model(WorkerFunction& serve) {
  if (plan_.model == Model::prefork) return serve(*this);
  if (!sockets_.datagrams.empty()) {
    REACTOR_LOG(error,
                "a process per connection can't serve datagrams; serve them in the worker's loop");
    return kExitFailed;
  }
  ServerLimits limits;
  limits.max_connections = plan_.max_children;
  const auto serve_one = [this, &serve](Child& child) {
    Worker worker(options_, plan_, index_, child);
    return serve(worker);
  };
  const auto server = ForkServer::adopt(loop_, listeners(), std::move(limits), serve_one).value();
  server->set_on_fork([this] { close_in_child(); });
  fork_server_ = server.get();
  const int status = this->serve(*server);
  fork_server_ = nullptr;
  return status;
}

// Runs in the process of a connection. Closes the descriptors that only the worker may have open;
// ForkServer closes those that the worker's loop watches.
void Worker::close_in_child() {
  if (options_.on_fork) options_.on_fork();
  if (forked_ == nullptr) return;
  forked_->control.close_notices();
  forked_->listeners.close();
  forked_->mailboxes.close();
}

int Worker::serve(Service& service) {
  if (child_ != nullptr) return child_->serve(service);
  service_ = &service;
  if (forked_ != nullptr) forked_->siblings->serve(service, plan_.processors.empty());
  if (plan_.max_requests > 0) {
    service.set_limit(with_jitter(plan_.max_requests), [this] { renew(); });
  }
  return run();
}

int Worker::run() {
  if (child_ != nullptr) {
    REACTOR_LOG(error, "a process per connection needs a worker function that calls serve()");
    return kExitFailed;
  }
  say_ready();
  if (!wait_to_serve()) return kExitOk;
  const Result<> result = loop_.run();
  if (result) return kExitOk;
  REACTOR_LOG(error, "worker's loop failed: " + result.error().message());
  return kExitFailed;
}

// ---- The end ----

bool Worker::begin_drain() {
  if (draining_) return false;
  draining_ = true;
  signals_.front().unref();
  count_down(plan_.graceful_timeout);
  return true;
}

// Counts the graceful timeout down in steps. So a pause in which no process runs (SIGSTOP, the
// cgroup freezer) counts as one step at most.
void Worker::count_down(Duration left) {
  const Duration step = std::min<Duration>(left, std::chrono::seconds(1));
  deadline_ = loop_.after(step, [this, left = left - step] {
    left > Duration::zero() ? count_down(left) : end_now("graceful timeout");
  });
  deadline_.unref();
}

// Drains because the server ends: no other worker takes the connections over. If this worker is
// retiring already, it stops handing connections over and drains the rest.
void Worker::drain() {
  if (!begin_drain()) {
    if (retiring_) forked_->siblings->finish_here();
    return;
  }
  if (forked_ != nullptr) {
    forked_->siblings->withdraw();
    forked_->listeners.close();
  }
  service_ != nullptr ? drain_service() : stop_soon();
}

void Worker::drain_service() {
  service_->drain([this] { take_rest(); });
}

// Drains again if connections were still waiting for this worker.
void Worker::take_rest() {
  using Rest = Siblings::Rest;
  const Rest rest = forked_ == nullptr ? Rest::none : forked_->siblings->take_rest();
  if (rest == Rest::none) {
    loop_.stop();
  } else if (rest == Rest::came) {
    drain_service();
  } else {
    rest_ = loop_.after(Siblings::kRetryDelay, [this] { take_rest(); });
  }
}

// `heir`: the slot that gets the idle connections.
void Worker::retire(unsigned heir) {
  if (!begin_drain()) return;
  if (service_ != nullptr) {
    retiring_ = true;
    forked_->siblings->hand_over(heir, [this] { loop_.stop(); });
    // After half of the timeout the connections that are left are asked to end, so that none is cut
    // off at the end of the timeout.
    give_up_ = loop_.after(plan_.graceful_timeout / 2, [this] { drain(); });
  } else {
    stop_soon();
  }
}

void Worker::stop_soon() { on_drain_ ? on_drain_() : loop_.stop(); }

void Worker::end_now(const char* why) {
  REACTOR_LOG(info, "worker " + std::to_string(index_) + " ends at once: " + why);
  loop_.stop();
}

}  // namespace reactor::prefork
