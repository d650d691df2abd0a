// SPDX-License-Identifier: MIT
// sleep_for() and sleep_until() wait for a time. yield() lets other coroutines run first.
#pragma once

#include "reactor/coro/coro_context.h"
#include "reactor/loop/loop.h"

namespace reactor::coro {

// Alarm is a timer inside an awaiter. It keeps Loop::run() going while it is set.
class Alarm : private TimerNode {
 public:
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

 protected:
  explicit Alarm(SourceLocation where) noexcept : where_(where) {}
  Alarm(Alarm&& other) noexcept : where_(other.where_) {}  // allowed only before it is set
  ~Alarm() { stop(); }

  void start(Loop& loop, TimePoint deadline) noexcept;
  void stop() noexcept;
  virtual void on_alarm() = 0;

 private:
  void on_expire() final;
  [[nodiscard]] HandleInfo describe() const noexcept final;

  Loop* loop_ = nullptr;
  SourceLocation where_;
};

// sleep_for() and sleep_until() return this awaitable.
class Sleep : private Alarm, private Waiter {
 public:
  Sleep(Duration delay, TimePoint deadline, SourceLocation where) noexcept
      : Alarm(where), delay_(delay), deadline_(deadline) {}
  Sleep(Sleep&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    begin();
  }
  void await_resume() const noexcept {}

 private:
  void begin() noexcept;
  void on_alarm() override { resume(); }

  Duration delay_;
  TimePoint deadline_;
};

// `co_await sleep_for(delay)` is never early. It can be late by as much as a Timer. If `delay` is
// zero or less, it waits for the loop's next timer phase. If `delay` is kForever, it waits until
// the task is destroyed.
[[nodiscard]] inline Sleep sleep_for(Duration delay,
                                     SourceLocation where = SourceLocation::current()) noexcept {
  return {delay, TimePoint{}, where};
}
[[nodiscard]] inline Sleep sleep_until(TimePoint deadline,
                                       SourceLocation where = SourceLocation::current()) noexcept {
  return {Duration::zero(), deadline, where};
}

// yield() returns this awaitable.
class Yield : private Waiter {
 public:
  Yield() noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    wake();
  }
  void await_resume() const noexcept {}
};

// `co_await yield()` lets the other ready coroutines run first, and from time to time lets the loop
// look for events.
[[nodiscard]] inline Yield yield() noexcept { return {}; }

}  // namespace reactor::coro
