// SPDX-License-Identifier: MIT
#include "reactor/prefork/worker.h"

#include <unistd.h>

#include <csignal>
#include <string>

#include "reactor/base/log.h"

namespace reactor::prefork {

Worker::Worker(Options& options, unsigned index, std::vector<Socket> listeners, UniqueFd control)
    : options_(options),
      index_(index),
      listeners_(std::move(listeners)),
      control_(std::move(control)),
      loop_(LoopOptions{.backend = options.backend}) {
  watch_signals();
  if (control_) watch_master();
}

void Worker::watch_signals() {
  const auto on = [this](int number, Callback<void()> callback) {
    SignalWatcher watcher = loop_.on_signal(number, std::move(callback)).value();
    watcher.unref();
    signals_.push_back(std::move(watcher));
  };
  on(SIGTERM, [this] { drain(); });
  signals_.front().ref();  // until it drains, a worker without work waits for some
  on(SIGQUIT, [this] { end_now("QUIT"); });
  on(SIGUSR1, [this] {
    if (options_.on_reopen) options_.on_reopen();
  });
  if (control_) return;
  // Alone: what a master would hear. In a worker these are the master's business; a terminal's
  // Ctrl-C reaches both, so the worker ignores it.
  on(SIGINT, [this] { draining_ ? end_now("INT while it drains") : drain(); });
  for (const int ignored : {SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU}) {
    on(ignored, [ignored] {
      REACTOR_LOG(warn, "signal " + std::to_string(ignored) + " ignored: no workers to act on");
    });
  }
}

// The master never writes: readable means that it is gone.
void Worker::watch_master() {
  master_ = loop_
                .watch(control_.get(), Interest::read,
                       [this](Ready) {
                         master_.stop();
                         end_now("the master is gone");
                       })
                .value();
  master_.unref();
}

void Worker::say_ready() {
  if (!control_) {
    if (options_.on_ready) options_.on_ready();
    return;
  }
  const char ready = 'R';
  if (::write(control_.get(), &ready, 1) != 1) end_now("the master is gone");
}

int Worker::run() {
  say_ready();
  const Result<> result = loop_.run();
  if (result) return kExitOk;
  REACTOR_LOG(error, "worker's loop failed: " + result.error().message());
  return kExitFailed;
}

void Worker::drain() {
  if (draining_) return;
  draining_ = true;
  signals_.front().unref();
  if (!on_drain_) {
    loop_.stop();
    return;
  }
  deadline_ = loop_.after(options_.graceful_timeout, [this] { end_now("graceful time-out"); });
  deadline_.unref();
  on_drain_();
}

void Worker::end_now(const char* why) {
  REACTOR_LOG(info, "worker " + std::to_string(index_) + " ends at once: " + why);
  loop_.stop();
}

}  // namespace reactor::prefork
