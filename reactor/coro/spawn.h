// SPDX-License-Identifier: MIT
// Tasks that run by themselves. Three ways, by who owns them:
//
//   spawn(loop, work()).detach();            // the loop: until it ends, or the loop does
//   Spawned job = spawn(loop, work());       // the handle: destroying it ends the task
//   TaskGroup jobs(loop); jobs.spawn(work()) // the group: destroying it ends all of them
//
// A task begins soon: before the loop next waits, never inside spawn(). An exception that leaves it
// leaves Loop::run() (G6). A task that waits keeps run() going as far as what it waits for does: a
// timer, a descriptor, a signal, but not a channel or an event that nothing is left to fill. All
// tasks end when their Loop is destroyed, at the latest.
#pragma once

#include <cstddef>

#include "reactor/coro/context.h"
#include "reactor/coro/root.h"
#include "reactor/coro/task.h"

namespace reactor::coro {

class Joined;

// Owns a number of running tasks. Destroying it ends those that still run, where they are
// suspended; not from inside one of them. May outlive its loop.
class TaskGroup final : private Resident {
 public:
  // Throws std::bad_alloc where the loop has had neither a task nor a group before.
  explicit TaskGroup(Loop& loop) : TaskGroup(Context::of(loop)) {}
  explicit TaskGroup(Context& context) noexcept;
  ~TaskGroup() { cancel(); }

  // Throws std::bad_alloc. While the loop ends, and after that, it only destroys the task.
  void spawn(Task<void> task);
  // Tasks that are not done.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Ends them all. Not from inside one of them.
  void cancel() noexcept;
  // `co_await group.join()`: until size() is 0. The group must outlive that.
  [[nodiscard]] Joined join() noexcept;

 private:
  friend class Joined;
  friend class Root;

  void on_context_end() noexcept override;
  void wake_joiners() noexcept;

  Context* context_;  // null after the loop's end
  IntrusiveList roots_;
  IntrusiveList joiners_;
  std::size_t size_ = 0;
};

class Joined : private Waiter {
 public:
  explicit Joined(TaskGroup& group) noexcept : group_(&group) {}

  [[nodiscard]] bool await_ready() const noexcept { return group_->size() == 0; }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    group_->joiners_.append(*this);
  }
  void await_resume() const noexcept {}

 private:
  TaskGroup* group_;
};

inline Joined TaskGroup::join() noexcept { return Joined(*this); }

// A running task. Destroying this, or assigning over it, ends the task where it is suspended; not
// from inside the task.
class [[nodiscard]] Spawned {
 public:
  Spawned() noexcept = default;
  explicit Spawned(Root& root) noexcept;
  Spawned(Spawned&& other) noexcept;
  Spawned& operator=(Spawned&& other) noexcept;
  ~Spawned() { cancel(); }

  // The task goes on without this handle.
  void detach() noexcept;
  void cancel() noexcept;
  // It ended, or was detached or cancelled.
  [[nodiscard]] bool done() const noexcept { return root_ == nullptr; }

 private:
  friend class Root;
  void hold(Root* root) noexcept;

  Root* root_ = nullptr;
};

// Throws std::bad_alloc. While the loop ends it only destroys the task.
Spawned spawn(Loop& loop, Task<void> task);

}  // namespace reactor::coro
