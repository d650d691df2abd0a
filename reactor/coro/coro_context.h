// SPDX-License-Identifier: MIT
// Context is the part of a loop that its coroutines share. A suspended coroutine continues in one
// of two ways:
//
// * An event of the loop (bytes, time, a signal) resumes it at once, from the loop's callback:
//   Waiter::resume().
// * An action of another coroutine (on a channel or event, or the end of a task) only wakes it:
//   Waiter::wake() puts it into a queue that the loop empties before it next waits. So coroutines
//   never run inside each other's calls, and any of them may destroy any other.
//
// This header is for authors of awaitables. Programs do not need it.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "reactor/base/intrusive_list.h"
#include "reactor/loop/loop.h"

namespace reactor::coro {

class Context;
class Promise;
class Root;
class TaskGroup;

// Does the same as the macro REACTOR_CHECK (base/internal/check.h), which public headers must not
// use.
void require(bool met, const char* what) noexcept;

// A Joiner learns of the end of a task that no coroutine awaits directly.
class Joiner {
 public:
  // Called when the task is done. Returns the coroutine to run next. The task must not be destroyed
  // here.
  [[nodiscard]] virtual std::coroutine_handle<> on_task_done(Promise& promise) noexcept = 0;

 protected:
  Joiner() = default;
  ~Joiner() = default;
};

// Promise is the common base of all tasks' promises.
class Promise {
 public:
  Context* context = nullptr;            // copied from the awaiting task
  std::coroutine_handle<> continuation;  // the coroutine that awaits this task
  Joiner* joiner = nullptr;              // or the object that learns of its end
  std::exception_ptr error;              // the exception that left the task's body
};

// A Waiter stands for a suspended coroutine. Code that has to resume the coroutine does so through
// its Waiter. Most awaiters have a Waiter as their base and lie in the coroutine's frame. So
// destroying the frame destroys the Waiter, and nothing resumes the coroutine any more. An object
// that several coroutines can wait for, such as an Event, keeps their Waiters in a list. wake()
// moves a Waiter from that list into the queue of the Context.
class Waiter : public ListLink {
 public:
  Waiter() noexcept = default;
  Waiter(Waiter&&) noexcept {}  // allowed only before it waits
  Waiter& operator=(Waiter&&) = delete;
  ~Waiter() { unlink(); }

  template <std::derived_from<Promise> P>
  void suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(*coroutine.promise().context, coroutine);
  }
  void suspend(Context& context, std::coroutine_handle<> coroutine) noexcept {
    coroutine_ = coroutine;
    context_ = &context;
  }
  [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept { return coroutine_; }
  [[nodiscard]] Context& context() const noexcept { return *context_; }

  // Resumes the coroutine now. A callback of the loop may call it, but only as its last action,
  // because *this may be gone afterwards.
  void resume();
  // Resumes the coroutine before the loop next waits, at most once.
  void wake() noexcept;

 private:
  std::coroutine_handle<> coroutine_;
  Context* context_;
};

// A Resident is an object that has to learn of its loop's end. While the loop ends, its Context
// registers no new residents.
class Resident : public ListLink {
 public:
  Resident() noexcept = default;
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  // Called when the loop ends, after this Resident was unregistered. Stop everything here that
  // needs the loop.
  virtual void on_context_end() noexcept = 0;

 protected:
  ~Resident() { unlink(); }
};

class Context final : public LoopExtension {
 public:
  // The most coroutines that resume before the loop looks for events again (G10).
  static constexpr int kBudget = 256;

  // Returns the loop's context, which the first call makes.
  [[nodiscard]] static Context& of(Loop& loop);

  explicit Context(Loop& owner);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() override;

  // Ends the tasks of all groups. Then the streams learn that the loop is ending.
  void on_loop_end() noexcept override;
  // Returns this, or null from on_loop_end() on, when residents can't register any more.
  [[nodiscard]] Context* if_open() noexcept { return open ? this : nullptr; }

  void schedule(Waiter& waiter) noexcept {
    ready_.append(waiter);
    drain_.schedule();
  }
  // Takes a spawned task that has ended and is suspended for good. Returns the coroutine that will
  // destroy the task, because code in the task's own frame must not destroy it.
  [[nodiscard]] std::coroutine_handle<> bury(Root& root) noexcept;

  Loop& loop;
  bool open = true;  // until on_loop_end(); declared before `tasks`, which asks for it
  // Residents. The groups learn of the loop's end first, because their tasks own the streams.
  IntrusiveList groups;
  IntrusiveList streams;
  std::unique_ptr<TaskGroup> tasks;  // those of spawn()

 private:
  // The Undertaker is a coroutine that calls clear_away() each time it is resumed. A task that ends
  // transfers control to it. So code that resumes a coroutine need not check afterwards whether a
  // task has ended.
  class Undertaker {
   public:
    struct promise_type;
    explicit Undertaker(std::coroutine_handle<> coroutine) noexcept : coroutine_(coroutine) {}
    Undertaker(Undertaker&& other) noexcept
        : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    Undertaker& operator=(Undertaker&&) = delete;
    ~Undertaker() {
      if (coroutine_) coroutine_.destroy();
    }
    [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept { return coroutine_; }

   private:
    std::coroutine_handle<> coroutine_;
  };

  [[nodiscard]] Undertaker undertake();
  void clear_away() noexcept;
  void report(std::exception_ptr failure) noexcept;
  void drain();

  IntrusiveList ready_;
  IntrusiveList ended_;
  bool clearing_ = false;
  std::vector<std::exception_ptr> failures_;  // drain() throws them, one per turn
  Undertaker undertaker_;
  Deferred drain_;
};

inline void Waiter::resume() { coroutine_.resume(); }

inline void Waiter::wake() noexcept {
  unlink();
  context_->schedule(*this);
}

}  // namespace reactor::coro
