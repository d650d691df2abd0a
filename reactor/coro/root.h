// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <utility>

#include "reactor/coro/coro_context.h"
#include "reactor/coro/task.h"

namespace reactor::coro {

class Spawned;
class TaskGroup;

// A Root runs a task that no coroutine awaits, such as a task of a TaskGroup. It is made by `new`,
// and deletes itself in on_end(). Only authors of servers need it.
class Root : public ListLink, private Joiner {
 public:
  explicit Root(TaskGroup& group);
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  // Destroys the task wherever it is suspended.
  virtual ~Root();

  // Called when the task is done. Returns the exception that is to leave the loop's run(), or null.
  [[nodiscard]] virtual std::exception_ptr failure() noexcept;
  // Called when the task is done, after failure().
  virtual void on_end() noexcept;

  // run() begins `task` now. Call it inside a callback of the loop. *this may be gone afterwards.
  // run_soon() begins it before the loop next waits.
  void run(Task<void> task);
  void run_soon(Task<void> task) noexcept;

 protected:
  // Returns the finished task. Its frame still holds the task's parameters, which may own anything,
  // even this object. So destroy the result last.
  [[nodiscard]] Task<void> take_task() noexcept { return std::move(task_); }
  // Destroys the task wherever it is suspended.
  void clear() noexcept { task_.reset(); }

 private:
  friend class Context;
  friend class Spawned;
  friend class TaskGroup;

  struct Ended : ListLink {
    Root* root = nullptr;
  };

  [[nodiscard]] std::coroutine_handle<> on_task_done(Promise&) noexcept final;

  TaskGroup* group_;
  Spawned* handle_ = nullptr;
  Task<void> task_;
  Waiter start_;
  Ended ended_;
};

}  // namespace reactor::coro
