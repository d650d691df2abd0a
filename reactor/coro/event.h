// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/coro/coro_context.h"

namespace reactor::coro {

class EventWait;

// A gate: closed until set(), then open until reset(). Destroying it resumes the waiting
// coroutines. Belongs to its loop's thread.
class Event {
 public:
  Event() noexcept = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { set(); }

  // Opens the gate: all waiting coroutines resume before the loop next waits.
  void set() noexcept {
    set_ = true;
    while (ListLink* link = waiters_.first()) static_cast<Waiter*>(link)->wake();
  }
  void reset() noexcept { set_ = false; }
  [[nodiscard]] bool is_set() const noexcept { return set_; }

  // `co_await event.wait()` waits until the gate is open. It does not suspend if the gate is open
  // already.
  [[nodiscard]] EventWait wait() noexcept;

 private:
  friend class EventWait;
  IntrusiveList waiters_;
  bool set_ = false;
};

class EventWait : private Waiter {
 public:
  explicit EventWait(Event& event) noexcept : event_(&event) {}

  [[nodiscard]] bool await_ready() const noexcept { return event_->is_set(); }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    event_->waiters_.append(*this);
  }
  void await_resume() const noexcept {}

 private:
  friend class Event;
  Event* event_;
};

inline EventWait Event::wait() noexcept { return EventWait(*this); }

}  // namespace reactor::coro
