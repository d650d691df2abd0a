// SPDX-License-Identifier: MIT
// Task<T>: a coroutine that gives a T.
//
//   reactor::coro::Task<int> answer() {
//     co_await reactor::coro::sleep_for(std::chrono::seconds(1));
//     co_return 42;
//   }
//
// It is lazy: it begins when it is awaited (`int n = co_await answer();`) or spawned (spawn.h), and
// runs in the loop of whoever began it, which is how `sleep_for` and the others know theirs. One
// allocation for the frame; awaiting allocates nothing.
//
// Destroying a task ends it where it is suspended: the locals of its frame, and the tasks that it
// awaits, are destroyed from the inside out, and whatever was waited for is given up. This is how
// time-outs and when_any() cancel. A task must not destroy itself while it runs.
//
// GCC 12 has two bugs that to avoid is enough: a co_await whose expression holds a lambda with
// captures, and `if (co_await f())` or `while (co_await f())` in a function without local
// variables, which then does nothing at all. Name what is awaited first: `const bool more =
// co_await f();`.
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

#include "reactor/coro/context.h"

namespace reactor::coro {

template <class T>
class Task;

// Part of Task: its promise's types.
namespace task {

struct FinalAwaiter {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) noexcept {
    Promise& promise = ended.promise();
    if (promise.continuation) return promise.continuation;
    if (promise.joiner == nullptr)
      return std::noop_coroutine();  // whoever began it looks at done()
    return promise.joiner->on_task_done(promise);
  }
  void await_resume() const noexcept {}
};

class CommonPromise : public Promise {
 public:
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { error = std::current_exception(); }
};

template <class T>
class ValuePromise : public CommonPromise {
 public:
  Task<T> get_return_object() noexcept;
  template <std::convertible_to<T> From>
  void return_value(From&& value) {
    value_.emplace(std::forward<From>(value));
  }
  [[nodiscard]] T take() {
    if (error) [[unlikely]]
      std::rethrow_exception(std::exchange(error, nullptr));
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

class VoidPromise : public CommonPromise {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() {
    if (error) [[unlikely]]
      std::rethrow_exception(std::exchange(error, nullptr));
  }
};

template <class T>
struct PromiseOf {
  using type = ValuePromise<T>;
};
template <>
struct PromiseOf<void> {
  using type = VoidPromise;
};

}  // namespace task

// Move-only; one that is moved from, or default-made, is empty and may only be assigned to. T is
// void or a movable object type. Belongs to its loop's thread.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using value_type = T;
  using promise_type = typename task::PromiseOf<T>::type;
  using Coroutine = std::coroutine_handle<promise_type>;

  Task() noexcept = default;
  explicit Task(Coroutine coroutine) noexcept : coroutine_(coroutine) {}
  Task(Task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      coroutine_ = std::exchange(other.coroutine_, nullptr);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { reset(); }

  explicit operator bool() const noexcept { return static_cast<bool>(coroutine_); }
  void reset() noexcept {
    if (Coroutine ended = std::exchange(coroutine_, nullptr)) ended.destroy();
  }

  // `co_await std::move(task)`, once: its result, or the exception that left it.
  [[nodiscard]] auto operator co_await() && noexcept { return Awaiter{coroutine_}; }

  // ---- For those who write awaitables. ----

  // Prepares the task, which tells `joiner` of its end, and gives what to resume to begin it.
  [[nodiscard]] std::coroutine_handle<> begin(Context& context, Joiner& joiner) noexcept {
    // Moved from, or a handler that is no coroutine gave nothing.
    require(static_cast<bool>(coroutine_), "a task that is not empty");
    coroutine_.promise().context = &context;
    coroutine_.promise().joiner = &joiner;
    return coroutine_;
  }
  [[nodiscard]] bool done() const noexcept { return coroutine_ && coroutine_.done(); }
  // Of a task that is done: what left it; null where it gave a value.
  [[nodiscard]] const std::exception_ptr& error() const noexcept {
    return coroutine_.promise().error;
  }
  [[nodiscard]] T take() { return coroutine_.promise().take(); }

 private:
  struct Awaiter {
    Coroutine coroutine;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    // By a call that returns, not by a transfer: compilers make that a jump only when they
    // optimise, and without it tasks that end at once, one after the other, would fill the stack.
    template <std::derived_from<Promise> P>
    [[nodiscard]] bool await_suspend(std::coroutine_handle<P> parent) noexcept {
      coroutine.promise().context = parent.promise().context;
      coroutine.resume();
      if (coroutine.done()) return false;
      coroutine.promise().continuation = parent;
      return true;
    }
    T await_resume() { return coroutine.promise().take(); }
  };

  Coroutine coroutine_;
};

namespace task {

template <class T>
Task<T> ValuePromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<ValuePromise>::from_promise(*this));
}
inline Task<void> VoidPromise::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<VoidPromise>::from_promise(*this));
}

template <class A>
struct IsTask : std::false_type {};
template <class T>
struct IsTask<Task<T>> : std::true_type {};

}  // namespace task

// What can be awaited in a task: a Task, or an awaiter such as sleep_for() and Stream::read() give.
template <class A>
concept Awaitable = task::IsTask<A>::value || requires(A& a) {
  { a.await_ready() } -> std::same_as<bool>;
  a.await_resume();
};

// An awaitable as a task, for combinators: a task as it is, anything else in a frame of its own.
template <class T>
[[nodiscard]] Task<T> to_task(Task<T> task) noexcept {
  return task;
}
template <Awaitable A>
requires(!task::IsTask<A>::value) [[nodiscard]] auto to_task(A awaitable)
    -> Task<decltype(awaitable.await_resume())> {
  co_return co_await std::move(awaitable);
}

// Who awaits this goes on in its own loop: `Loop& loop = co_await this_loop();`. Does not suspend.
class ThisLoop {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    loop_ = &coroutine.promise().context->loop;
    return false;
  }
  [[nodiscard]] Loop& await_resume() const noexcept { return *loop_; }

 private:
  Loop* loop_ = nullptr;
};
[[nodiscard]] inline ThisLoop this_loop() noexcept { return {}; }

}  // namespace reactor::coro
