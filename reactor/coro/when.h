// SPDX-License-Identifier: MIT
// when_all() waits until all its tasks have ended. when_any() waits until one of its tasks has
// ended, and ends the others. If an exception leaves a task, both functions end the other tasks and
// pass the exception on. To end a task here means to destroy it, wherever it is suspended, before
// the awaiting coroutine resumes. All tasks begin in the same turn, in their order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "reactor/coro/task.h"

namespace reactor::coro {

// ValueOf is T in tuples and variants, with std::monostate in place of void.
template <class T>
using ValueOf = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class T>
[[nodiscard]] ValueOf<T> take_value(Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    task.take();
    return {};
  } else {
    return task.take();
  }
}

// Gathering begins tasks, and resumes the awaiting coroutine when enough of them are done.
class Gathering : protected Waiter {
 protected:
  enum class Until : std::uint8_t { all, first };

  // A Seat is the entry of one task in the gathering.
  class Seat final : public Joiner {
   public:
    explicit Seat(Gathering* gathering = nullptr) noexcept : gathering_(gathering) {}

   private:
    [[nodiscard]] std::coroutine_handle<> on_task_done(Promise& promise) noexcept override {
      return gathering_->on_one_done(*this, promise);
    }
    Gathering* gathering_;
  };

  explicit Gathering(Until until) noexcept : until_(until) {}
  Gathering(Gathering&& other) noexcept : until_(other.until_) {}

  // Begins `task`, unless an earlier task has already decided the outcome.
  template <class T>
  void begin_one(Task<T>& task, Seat& seat) {
    if (first_ != nullptr) return;
    seat = Seat(this);
    ++running_;
    task.begin(context(), seat).resume();
  }
  // Call after the last begin_one(). Returns whether there is anything to wait for.
  [[nodiscard]] bool begun() noexcept {
    begun_ = true;
    return first_ == nullptr && running_ > 0;
  }
  // Returns the entry of the task that decided the outcome: the first one that ended or, in
  // when_all(), failed. Returns null if all tasks ended without a failure.
  [[nodiscard]] const Seat* first() const noexcept { return first_; }

 private:
  [[nodiscard]] std::coroutine_handle<> on_one_done(const Seat& seat, Promise& promise) noexcept {
    --running_;
    if (until_ == Until::first || promise.error) first_ = &seat;
    if (!begun_ || (first_ == nullptr && running_ > 0)) return std::noop_coroutine();
    return coroutine();
  }

  Until until_;
  // False until all tasks have begun. A task that ends earlier must not resume the awaiting
  // coroutine. Instead, begun() tells await_suspend() whether that coroutine continues without
  // suspending.
  bool begun_ = false;
  std::size_t running_ = 0;
  const Seat* first_ = nullptr;
};

// when_all() returns this awaitable.
template <class... T>
class WhenAll : private Gathering {
 public:
  explicit WhenAll(Task<T>... tasks) noexcept
      : Gathering(Until::all), tasks_(std::move(tasks)...) {}
  WhenAll(WhenAll&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return sizeof...(T) == 0; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> parent) {
    suspend(parent);
    begin(std::index_sequence_for<T...>());
    return begun();
  }
  std::tuple<ValueOf<T>...> await_resume() {
    auto tasks = std::move(tasks_);  // ends all tasks, even if a result throws
    return take(tasks, std::index_sequence_for<T...>());
  }

 private:
  template <std::size_t... I>
  void begin(std::index_sequence<I...>) {
    (begin_one(std::get<I>(tasks_), seats_[I]), ...);
  }
  template <std::size_t... I>
  [[nodiscard]] std::tuple<ValueOf<T>...> take(auto& tasks, std::index_sequence<I...>) {
    const auto rethrow = [&](auto& task, std::size_t index) {
      if (first() == &seats_[index]) std::rethrow_exception(task.error());
    };
    (rethrow(std::get<I>(tasks), I), ...);
    return {take_value(std::get<I>(tasks))...};
  }

  std::tuple<Task<T>...> tasks_;
  std::array<Seat, sizeof...(T) + 1> seats_;
};

// when_all() returns this awaitable for a vector.
template <class T>
class WhenAllOf : private Gathering {
 public:
  explicit WhenAllOf(std::vector<Task<T>> tasks)
      : Gathering(Until::all), tasks_(std::move(tasks)), seats_(tasks_.size()) {}
  WhenAllOf(WhenAllOf&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return tasks_.empty(); }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> parent) {
    suspend(parent);
    for (std::size_t i = 0; i < tasks_.size(); ++i) begin_one(tasks_[i], seats_[i]);
    return begun();
  }
  std::vector<ValueOf<T>> await_resume() {
    std::vector<Task<T>> tasks = std::move(tasks_);
    if (first() != nullptr) {
      std::rethrow_exception(tasks[static_cast<std::size_t>(first() - seats_.data())].error());
    }
    std::vector<ValueOf<T>> values;
    values.reserve(tasks.size());
    for (Task<T>& task : tasks) values.push_back(take_value(task));
    return values;
  }

 private:
  std::vector<Task<T>> tasks_;
  std::vector<Seat> seats_;
};

// when_any() returns this awaitable.
template <class... T>
class WhenAny : private Gathering {
 public:
  using Outcome = std::variant<ValueOf<T>...>;

  explicit WhenAny(Task<T>... tasks) noexcept
      : Gathering(Until::first), tasks_(std::move(tasks)...) {}
  WhenAny(WhenAny&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> parent) {
    suspend(parent);
    begin(std::index_sequence_for<T...>());
    return begun();
  }
  Outcome await_resume() {
    auto tasks = std::move(tasks_);
    return take<0>(tasks);
  }

 private:
  template <std::size_t... I>
  void begin(std::index_sequence<I...>) {
    (begin_one(std::get<I>(tasks_), seats_[I]), ...);
  }
  template <std::size_t I>
  [[nodiscard]] Outcome take(auto& tasks) {
    if constexpr (I + 1 < sizeof...(T)) {
      if (first() != &seats_[I]) return take<I + 1>(tasks);
    }
    return Outcome(std::in_place_index<I>, take_value(std::get<I>(tasks)));
  }

  std::tuple<Task<T>...> tasks_;
  std::array<Seat, sizeof...(T)> seats_;
};

// First has the index and the value of the task that ended first.
template <class T>
struct First {
  std::size_t index;
  ValueOf<T> value;
};

// when_any() returns this awaitable for a vector.
template <class T>
class WhenAnyOf : private Gathering {
 public:
  explicit WhenAnyOf(std::vector<Task<T>> tasks)
      : Gathering(Until::first), tasks_(std::move(tasks)), seats_(tasks_.size()) {
    require(!tasks_.empty(), "a task that can be first");
  }
  WhenAnyOf(WhenAnyOf&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> parent) {
    suspend(parent);
    for (std::size_t i = 0; i < tasks_.size(); ++i) begin_one(tasks_[i], seats_[i]);
    return begun();
  }
  First<T> await_resume() {
    std::vector<Task<T>> tasks = std::move(tasks_);
    const auto index = static_cast<std::size_t>(first() - seats_.data());
    return {index, take_value(tasks[index])};
  }

 private:
  std::vector<Task<T>> tasks_;
  std::vector<Seat> seats_;
};

// `auto [a, b] = co_await when_all(one(), two());` returns a tuple of the results in the order of
// the tasks. A void result is a std::monostate. A vector of tasks gives a vector.
template <Awaitable... A>
[[nodiscard]] auto when_all(A... awaitables) {
  return WhenAll(to_task(std::move(awaitables))...);
}
template <class T>
[[nodiscard]] WhenAllOf<T> when_all(std::vector<Task<T>> tasks) {
  return WhenAllOf<T>(std::move(tasks));
}

// `auto first = co_await when_any(one(), two());` returns a variant with the result of the task
// that ended first. Its index() tells which task that was. A void result is a std::monostate. A
// vector of tasks, which must not be empty, gives a First<T>.
template <Awaitable... A>
requires(sizeof...(A) > 0) [[nodiscard]] auto when_any(A... awaitables) {
  return WhenAny(to_task(std::move(awaitables))...);
}
template <class T>
[[nodiscard]] WhenAnyOf<T> when_any(std::vector<Task<T>> tasks) {
  return WhenAnyOf<T>(std::move(tasks));
}

}  // namespace reactor::coro
