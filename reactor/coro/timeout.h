// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/result.h"
#include "reactor/coro/sleep.h"
#include "reactor/coro/task.h"

namespace reactor::coro {

// AsResult has the result type of with_timeout(): Result<T>, or T itself if it is a Result.
template <class T>
struct AsResult {
  using type = Result<T>;
};
template <class T>
struct AsResult<Result<T>> {
  using type = Result<T>;
};

// with_timeout() returns this awaitable.
template <class T>
class Timeout : private Alarm, private Waiter, private Joiner {
 public:
  using Outcome = typename AsResult<T>::type;

  Timeout(Duration delay, Task<T> task, SourceLocation where) noexcept
      : Alarm(where), delay_(delay), task_(std::move(task)) {}
  Timeout(Timeout&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> parent) noexcept {
    suspend(parent);
    Loop& loop = context().loop;
    start(loop, saturating_add(loop.start_time(), delay_));
    task_.begin(context(), *this).resume();
    begun_ = true;
    return !task_.done();
  }
  [[nodiscard]] Outcome await_resume() {
    if (!task_) return Errc::timed_out;
    if constexpr (std::is_void_v<T>) {
      task_.take();
      return {};
    } else {
      return task_.take();
    }
  }

 private:
  void on_alarm() override {
    task_.reset();
    resume();
  }
  [[nodiscard]] std::coroutine_handle<> on_task_done(Promise&) noexcept override {
    stop();
    if (!begun_) return std::noop_coroutine();
    return coroutine();
  }

  Duration delay_;
  Task<T> task_;
  // False while await_suspend() runs. A task that ends during that call must not resume the parent,
  // which is not suspended yet. Instead, await_suspend() returns false, and the parent continues.
  bool begun_ = false;
};

// `co_await with_timeout(delay, task)` returns the task's result as a Result. If the task takes
// longer than `delay`, it is destroyed wherever it is suspended, and the result is Errc::timed_out.
// An exception that leaves the task is passed on. Takes any awaitable: `with_timeout(5s,
// stream.read(buffer))`.
template <class T>
[[nodiscard]] Timeout<T> with_timeout(Duration delay, Task<T> task,
                                      SourceLocation where = SourceLocation::current()) {
  return Timeout<T>(delay, std::move(task), where);
}
template <Awaitable A>
requires(!task::IsTask<A>::value)
    [[nodiscard]] auto with_timeout(Duration delay, A awaitable,
                                    SourceLocation where = SourceLocation::current()) {
  return with_timeout(delay, to_task(std::move(awaitable)), where);
}

}  // namespace reactor::coro
