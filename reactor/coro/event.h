// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/coro/coro_context.h"

namespace reactor::coro {

// Event is a gate: set() opens it, and reset() closes it. It begins closed. Destroying the Event
// resumes the waiting coroutines. An Event belongs to its loop's thread.
class Event {
 public:
  Event() noexcept = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { set(); }

  // Opens the gate. All waiting coroutines resume before the loop next waits.
  void set() noexcept {
    set_ = true;
    while (ListLink* link = waiters_.first()) static_cast<Waiter*>(link)->wake();
  }
  void reset() noexcept { set_ = false; }
  [[nodiscard]] bool is_set() const noexcept { return set_; }

  class Wait;
  // `co_await event.wait()` waits until the gate is open. It does not suspend if the gate is open
  // already.
  [[nodiscard]] Wait wait() noexcept;

 private:
  IntrusiveList waiters_;
  bool set_ = false;
};

class Event::Wait : private Waiter {
 public:
  explicit Wait(Event& event) noexcept : event_(&event) {}

  [[nodiscard]] bool await_ready() const noexcept { return event_->is_set(); }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    event_->waiters_.append(*this);
  }
  void await_resume() const noexcept {}

 private:
  Event* event_;
};

inline Event::Wait Event::wait() noexcept { return Wait(*this); }

}  // namespace reactor::coro
