// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/loop/loop.h"

namespace reactor {

class Core;
struct ChildSlot;
struct SignalSlot;

// Learns of the ends of watched children, by pidfd_open(2), EVFILT_PROC or SIGCHLD, and waits for
// just those: waitpid(pid), never waitpid(-1). Private to the loop.
class Children {
 public:
  Children(Core& core, ChildMethod method);
  ~Children();

  // Errors: no_child_process, those of the method asked for.
  std::error_code add(ChildSlot& slot);
  void remove(ChildSlot& slot) noexcept;

  [[nodiscard]] bool waits_for(pid_t pid) const noexcept;

  // The child of `slot` may have ended: it is looked after in this turn's children phase.
  void mark_due(ChildSlot& slot) noexcept;
  void mark_all_due() noexcept;

  // Waits for the children that ended and calls back. One call throws: the rest is left.
  void dispatch();
  [[nodiscard]] bool pending() const noexcept { return due_ > 0; }

  // After the kernel's set was made anew: what it watched by pid is asked for again.
  void rewatch();
  // In a forked child: they are siblings now; all end with `error` in the next turn.
  void fail_all(std::error_code error) noexcept;

 private:
  std::error_code watch(ChildSlot& slot);
  std::error_code watch_pidfd(ChildSlot& slot);
  std::error_code watch_process_filter(ChildSlot& slot);
  std::error_code watch_sigchld();
  [[nodiscard]] bool allows(ChildMethod method) const noexcept;
  [[nodiscard]] bool reap(ChildSlot& slot, ExitStatus& status);

  Core& core_;
  ChildMethod method_;
  std::vector<ChildSlot*> slots_;
  std::size_t due_ = 0;
  std::unique_ptr<SignalSlot> sigchld_;  // where that is the method
};

}  // namespace reactor
