// SPDX-License-Identifier: MIT
#include "reactor/coro/wait.h"

#include <utility>

namespace reactor::coro {

// The first signal ends the watcher, because this awaiter may outlive its co_await. Otherwise a
// second signal would resume the coroutine while it waits for something else.
bool Signal::begin() {
  const auto came = [this] {
    watcher_ = SignalWatcher();
    resume();
  };
  Result<SignalWatcher> watcher = context().loop.on_signal(number_, came, where_);
  error_ = watcher.error();
  if (watcher) watcher_ = std::move(*watcher);
  return static_cast<bool>(watcher_);
}

bool ChildExit::begin() {
  const auto ended = [this](ExitStatus status) {
    status_ = status;
    resume();
  };
  Result<ChildWatcher> watcher = context().loop.on_exit(pid_, ended, where_);
  if (watcher) {
    watcher_ = std::move(*watcher);
  } else {
    status_ = ExitStatus(watcher.error());
  }
  return static_cast<bool>(watcher_);
}

bool Readiness::begin() {
  error_ = context().loop.attach(*this, interest_).error();
  return !error_;
}

// Tells the poller, because the descriptor stays open.
void Readiness::end() noexcept {
  if (attached()) context().loop.detach(*this, Detach::staying);
}

void Readiness::on_ready(Ready) {
  end();
  resume();
}

HandleInfo Readiness::describe() const noexcept { return {"coroutine", fd(), {}, where_}; }

}  // namespace reactor::coro
