// SPDX-License-Identifier: MIT
#include "reactor/loop/handle.h"

#include <sys/wait.h>

#include "reactor/base/error.h"
#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"

namespace reactor {
namespace {

void destroy(HandleState* state) noexcept {
  if (state == nullptr) return;
  if (state->core != nullptr) {
    state->core->release(*state);
  } else {
    delete state;
  }
}

// Core counts the active handles whose `keeps` is true, except IoStates (the registry counts them)
// and DeferredStates (not counted). Core::keep() changes the count only for a handle whose `keeps`
// is true. So the call before the change takes out a handle that was counted, and the call after
// the change adds one that counts from now on.
void set_keeps(HandleState* state, bool keeps) noexcept {
  if (state == nullptr || state->core == nullptr || state->keeps == keeps) return;
  const bool counted = state->active() && dynamic_cast<IoState*>(state) == nullptr &&
                       dynamic_cast<DeferredState*>(state) == nullptr;
  if (counted) state->core->keep(*state, false);
  state->keeps = keeps;
  if (counted) state->core->keep(*state, true);
  state->keeping_changed();
}

}  // namespace

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this != &other) destroy(std::exchange(state_, std::exchange(other.state_, nullptr)));
  return *this;
}

Handle::~Handle() { destroy(state_); }

void Handle::ref() noexcept { set_keeps(state_, true); }
void Handle::unref() noexcept { set_keeps(state_, false); }

IoWatcher::IoWatcher(IoState* state) noexcept : Handle(state) {}

Result<> IoWatcher::set(Interest interest) {
  auto& state = static_cast<IoState&>(*state_);
  if (state.core == nullptr) return Errc::handle_dead;
  if (!state.core->in_own_process()) return Errc::wrong_process;
  return state.core->registry.set_interest(state, interest);
}

Interest IoWatcher::interest() const noexcept {
  const auto& state = static_cast<const IoState&>(*state_);
  return state.active() ? state.core->registry.interest(state) : Interest::none;
}

void IoWatcher::stop() noexcept { state_->stop(); }
bool IoWatcher::active() const noexcept { return state_->active(); }
int IoWatcher::fd() const noexcept { return static_cast<const IoState&>(*state_).fd(); }

Timer::Timer(TimerState* state) noexcept : Handle(state) {}

void Timer::start(Duration delay) noexcept { static_cast<TimerState&>(*state_).start(delay); }
void Timer::start_every(Duration period) noexcept {
  static_cast<TimerState&>(*state_).start_every(period);
}
void Timer::stop() noexcept { static_cast<TimerState&>(*state_).stop(); }
bool Timer::active() const noexcept { return static_cast<const TimerState&>(*state_).active(); }

SignalWatcher::SignalWatcher(SignalState* state) noexcept : Handle(state) {}
void SignalWatcher::stop() noexcept { state_->stop(); }
bool SignalWatcher::active() const noexcept { return state_->active(); }

ChildWatcher::ChildWatcher(ChildState* state) noexcept : Handle(state) {}
void ChildWatcher::stop() noexcept { state_->stop(); }
bool ChildWatcher::active() const noexcept { return state_->active(); }

Deferred::Deferred(DeferredState* state) noexcept : Handle(state) {}
void Deferred::schedule() noexcept { static_cast<DeferredState&>(*state_).schedule(); }
void Deferred::stop() noexcept { state_->stop(); }
bool Deferred::active() const noexcept { return state_->active(); }

bool ExitStatus::exited() const noexcept { return !error_ && WIFEXITED(status_); }
int ExitStatus::code() const noexcept { return exited() ? WEXITSTATUS(status_) : -1; }
bool ExitStatus::signaled() const noexcept { return !error_ && WIFSIGNALED(status_); }
int ExitStatus::signal() const noexcept { return signaled() ? WTERMSIG(status_) : 0; }

}  // namespace reactor
