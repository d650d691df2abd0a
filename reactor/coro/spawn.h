// SPDX-License-Identifier: MIT
// spawn() and TaskGroup run tasks that no coroutine awaits. The three ways to do so differ in the
// task's owner:
//
//   spawn(loop, work()).detach();            // the loop: the task may run until the loop ends
//   Spawned job = spawn(loop, work());       // the handle: destroying it ends the task
//   TaskGroup jobs(loop); jobs.spawn(work()) // the group: destroying it ends all of them
//
// A task begins before the loop next waits, never inside spawn(). An exception that leaves a task
// also leaves Loop::run() (G6). A task that waits for a timer, a descriptor or a signal keeps run()
// from returning. A task that waits for a channel or an event does not. All tasks are destroyed
// with their Loop at the latest.
#pragma once

#include <cstddef>

#include "reactor/coro/coro_context.h"
#include "reactor/coro/root.h"
#include "reactor/coro/task.h"

namespace reactor::coro {

// TaskGroup owns any number of running tasks. Destroying the group ends the tasks that still run,
// wherever they are suspended. A task must not destroy its own group. A group may outlive its loop.
class TaskGroup final : private Resident {
 public:
  // Throws std::bad_alloc, but only if the loop has had no coroutines before.
  explicit TaskGroup(Loop& loop) : TaskGroup(Context::of(loop)) {}
  explicit TaskGroup(Context& context) noexcept;
  ~TaskGroup() { cancel(); }

  // Starts `task`. Throws std::bad_alloc. While the loop ends, and afterwards, this call only
  // destroys the task.
  void spawn(Task<void> task);
  // Returns the number of tasks that are not done.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // Ends all tasks. Must not be called from inside one of them.
  void cancel() noexcept;
  class Join;
  // `co_await group.join()` waits until size() is 0. The group must outlive the wait.
  [[nodiscard]] Join join() noexcept;

 private:
  friend class Root;

  void on_context_end() noexcept override;
  void wake_joiners() noexcept;

  Context* context_;  // null after the loop's end
  IntrusiveList roots_;
  IntrusiveList joiners_;
  std::size_t size_ = 0;
};

class TaskGroup::Join : private Waiter {
 public:
  explicit Join(TaskGroup& group) noexcept : group_(&group) {}

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

inline TaskGroup::Join TaskGroup::join() noexcept { return Join(*this); }

// Spawned is the handle of a running task. Destroying the handle, or assigning to it, ends the task
// wherever it is suspended. A task must not destroy its own handle.
class [[nodiscard]] Spawned {
 public:
  Spawned() noexcept = default;
  explicit Spawned(Root& root) noexcept;
  Spawned(Spawned&& other) noexcept;
  Spawned& operator=(Spawned&& other) noexcept;
  ~Spawned() { cancel(); }

  // Lets the task run without this handle.
  void detach() noexcept;
  void cancel() noexcept;
  // Returns whether the task ended, or was detached or cancelled.
  [[nodiscard]] bool done() const noexcept { return root_ == nullptr; }

 private:
  friend class Root;
  void hold(Root* root) noexcept;

  Root* root_ = nullptr;
};

// Starts `task`. Throws std::bad_alloc. While the loop ends, this only destroys the task.
Spawned spawn(Loop& loop, Task<void> task);

}  // namespace reactor::coro
