// SPDX-License-Identifier: MIT
// Child: serve() runs the loop turn by turn, and checks after each turn whether the connection is
// over, because the loop has no event for that. Before serve() ends, it runs the work that the last
// turn left.
#include "reactor/prefork/child.h"

#include <csignal>
#include <utility>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

Child::Child(Socket connection, std::span<const std::byte> state, UniqueFd lifeline,
             Backend backend, SignalBlock& blocked)
    : loop_({.backend = backend, .slow_callback = Duration::zero()}),
      connection_(std::move(connection)),
      state_(state),
      lifeline_(std::move(lifeline)),
      blocked_(blocked) {
  signals_.push_back(loop_.on_signal(SIGTERM, [this] { finish(); }).value());
  signals_.push_back(loop_.on_signal(SIGQUIT, [this] { end_now(); }).value());
  for (SignalWatcher& watcher : signals_) watcher.unref();
  // Nobody writes to the lifeline, so it becomes readable only when the parent is gone.
  parent_ = loop_.watch(lifeline_.get(), Interest::read, [this](Ready) { end_now(); }).value();
  parent_.unref();
}

void Child::finish() {
  if (service_ != nullptr) service_->drain();
}

void Child::end_now() { ended_ = true; }

int Child::serve(Service& service) {
  service_ = &service;
  keeping_before_ = loop_.keeping();
  const Result<> taken = service.adopt_connection(std::move(connection_), state_);
  if (!taken) {
    REACTOR_LOG(error, "can't take a connection over: " + taken.error().message());
    return kExitFailed;
  }
  blocked_.lift();
  while (!ended_ && !over(service)) {
    if (const Result<> turn = loop_.run_once(); !turn) {
      REACTOR_LOG(error, "a connection's loop failed: " + turn.error().message());
      return kExitFailed;
    }
  }
  return kExitOk;
}

// Returns whether the connection is over: it is closed, no handle that was made during serve()
// keeps the loop running, and no work is due, such as a posted call.
bool Child::over(const Service& service) {
  return service.connections() == 0 && loop_.keeping() <= keeping_before_ &&
         loop_.next_timeout() > Duration::zero();
}

}  // namespace reactor::prefork
