// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>

#include "reactor/base/clock.h"
#include "reactor/prefork/internal/control.h"

namespace reactor::prefork {

// How long a process may take for a step that should be immediate, such as its exit, before it gets
// SIGKILL.
inline constexpr Duration kKillDelay = std::chrono::seconds(2);

// Describes a status of waitpid(2), for example "exited with 3" or "was killed by signal 9".
[[nodiscard]] std::string how_it_ended(int status);

// The kernel calls about processes that the crew makes. Tests replace them. Private to prefork.
class ProcessCalls {
 public:
  ProcessCalls() = default;
  ProcessCalls(const ProcessCalls&) = delete;
  ProcessCalls& operator=(const ProcessCalls&) = delete;
  virtual ~ProcessCalls() = default;

  // fork(2). `worker`: the child's end of the control channel; this process drops it.
  virtual pid_t fork(WorkerControl& worker);
  // kill(2).
  virtual void kill(pid_t pid, int signal_number) noexcept;
  // waitpid(2) with WNOHANG.
  virtual pid_t wait(pid_t pid, int& status) noexcept;
};

}  // namespace reactor::prefork
