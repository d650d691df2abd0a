// SPDX-License-Identifier: MIT
// Task<T> is a coroutine that returns a T.
//
//   reactor::coro::Task<int> answer() {
//     co_await reactor::coro::sleep_for(std::chrono::seconds(1));
//     co_return 42;
//   }
//
// A task is lazy: it begins when it is awaited (`int n = co_await answer();`) or spawned (spawn.h).
// It runs in the loop of the coroutine that began it. That is how sleep_for() and others find their
// loop. The frame is one allocation. Awaiting allocates nothing.
//
// Destroying a task ends it wherever it is suspended. The tasks that it awaits and the locals of
// its frame are destroyed, the innermost first, and whatever they wait for is given up. Timeouts
// and when_any() cancel in this way. A task must not destroy itself while it runs.
//
// Two GCC 12 bugs must be avoided. One is a co_await whose expression contains a lambda with
// captures. The other is `if (co_await f())` or `while (co_await f())` in a function without local
// variables: the whole function then does nothing. Give the result a name first: `const bool more =
// co_await f();`.
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

#include "reactor/coro/coro_context.h"

namespace reactor::coro {

template <class T>
class Task;

// This namespace has details of Task: the types of its promise.
namespace task {

struct FinalAwaiter {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<P> ended) noexcept {
    Promise& promise = ended.promise();
    if (promise.continuation) return promise.continuation;
    if (promise.joiner == nullptr)
      return std::noop_coroutine();  // the awaiter checks done() itself
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

// Task is move-only. A default-constructed or moved-from task is empty. An empty task allows two
// operations: assigning to it, and destroying it. T is void or a movable object type. A task
// belongs to its loop's thread.
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

  // `co_await std::move(task)` returns the task's result or throws the exception that left it. A
  // task can be awaited only once.
  [[nodiscard]] auto operator co_await() && noexcept { return Awaiter{coroutine_}; }

  // ---- For authors of awaitables ----

  // Prepares the task, which tells `joiner` when it ends. Returns the coroutine whose resume()
  // begins the task.
  [[nodiscard]] std::coroutine_handle<> begin(Context& context, Joiner& joiner) noexcept {
    // The task is empty if it was moved from, or if a handler that is not a coroutine returned it.
    require(static_cast<bool>(coroutine_), "a task that is not empty");
    coroutine_.promise().context = &context;
    coroutine_.promise().joiner = &joiner;
    return coroutine_;
  }
  [[nodiscard]] bool done() const noexcept { return coroutine_ && coroutine_.done(); }
  // For a task that is done: returns the exception that left it, or null if it returned a value.
  [[nodiscard]] const std::exception_ptr& error() const noexcept {
    return coroutine_.promise().error;
  }
  [[nodiscard]] T take() { return coroutine_.promise().take(); }

 private:
  struct Awaiter {
    Coroutine coroutine;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    // Runs the task by a nested resume(), not by returning its handle (symmetric transfer).
    // Compilers turn such a transfer into a jump only when they optimise. Without the jump, a loop
    // that awaits many tasks, each of which ends without suspending, would overflow the stack.
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

// Awaitable is anything that a task can await: a Task, or an awaiter, such as those that
// sleep_for() and Stream::read() return.
template <class A>
concept Awaitable = task::IsTask<A>::value || requires(A& a) {
  { a.await_ready() } -> std::same_as<bool>;
  a.await_resume();
};

// Turns an awaitable into a task, for combinators. A task stays as it is, and anything else gets a
// frame of its own.
template <class T>
[[nodiscard]] Task<T> to_task(Task<T> task) noexcept {
  return task;
}
template <Awaitable A>
requires(!task::IsTask<A>::value) [[nodiscard]] auto to_task(A awaitable)
    -> Task<decltype(awaitable.await_resume())> {
  co_return co_await std::move(awaitable);
}

// `Loop& loop = co_await this_loop();` returns the loop that runs the awaiting coroutine. Never
// suspends.
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
