// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <utility>

#include "reactor/coro/context.h"
#include "reactor/coro/task.h"

namespace reactor::coro {

class Spawned;
class TaskGroup;

// A task that runs by itself, in a TaskGroup; for those who write servers. Made by `new`, deletes
// itself in on_end().
class Root : public ListLink, private Joiner {
 public:
  explicit Root(TaskGroup& group);
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  // Ends the task where it is suspended.
  virtual ~Root();

  // The exception that is to leave the loop's run(), of a task that is done.
  [[nodiscard]] virtual std::exception_ptr failure() noexcept;
  // The task is done.
  virtual void on_end() noexcept;

  // Begins `task` now, inside a callback of the loop: *this may be gone afterwards; or soon.
  void run(Task<void> task);
  void run_soon(Task<void> task) noexcept;

 protected:
  // What is left of a task that is done: its parameters, which may own anything, this included.
  [[nodiscard]] Task<void> take_task() noexcept { return std::move(task_); }
  // Ends the task where it is suspended.
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
