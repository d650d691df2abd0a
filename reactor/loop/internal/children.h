// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/loop/loop.h"

namespace reactor {

class Core;
struct ChildState;
struct SignalState;

// Children learns by pidfd_open(2), EVFILT_PROC or SIGCHLD that a watched child has ended. It waits
// for watched children only, with waitpid(pid), never with waitpid(-1). Private to the loop.
class Children {
 public:
  Children(Core& core, ChildMethod method);
  ~Children();

  // Starts watching state.pid. Errors: no_child_process, or those of the chosen method.
  std::error_code add(ChildState& state);
  void remove(ChildState& state) noexcept;

  [[nodiscard]] bool waits_for(pid_t pid) const noexcept;

  // Records that the child of `state` may have ended. The next children phase asks the kernel.
  void mark_due(ChildState& state) noexcept;
  void mark_all_due() noexcept;

  // Waits for the children that have ended and calls their callbacks. If a callback throws, the
  // rest are left for the next turn.
  void dispatch();
  [[nodiscard]] bool pending() const noexcept { return due_ > 0; }

  // Call it after the kernel's set was rebuilt. It registers the pids that a process filter
  // watched; the registry itself has moved the pidfds. If no method can watch a child any more, its
  // watcher ends with the error in the next children phase.
  void rewatch() noexcept;
  // Call in a forked child, where the watched processes are siblings. All watchers end with `error`
  // in the next turn.
  void fail_all(std::error_code error) noexcept;

 private:
  std::error_code watch(ChildState& state);
  std::error_code watch_pidfd(ChildState& state);
  std::error_code watch_process_filter(ChildState& state);
  std::error_code watch_sigchld();
  [[nodiscard]] bool allows(ChildMethod method) const noexcept;
  [[nodiscard]] bool reap(ChildState& state, ExitStatus& status);

  Core& core_;
  ChildMethod method_;
  std::vector<ChildState*> watched_;
  std::size_t due_ = 0;
  std::unique_ptr<SignalState> sigchld_;  // null unless the method is SIGCHLD
};

}  // namespace reactor
