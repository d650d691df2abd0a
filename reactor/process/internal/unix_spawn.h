// SPDX-License-Identifier: MIT
// spawn_child() runs another program by fork(2) and exec(3). Private to process/.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "reactor/base/result.h"

namespace reactor {

// SpawnPlan has everything that the child needs. It is made before the fork, because the child must
// not allocate.
struct SpawnPlan {
  enum class Group : std::uint8_t { same, own, session };

  std::vector<std::string> files;        // tried in order, as execvp(3) does
  std::vector<std::string> arguments;    // argv
  std::vector<std::string> environment;  // NAME=VALUE, all of it
  std::string directory;                 // empty: that of this process
  // The child's descriptors 0, 1 and 2 become copies of these, which are above 2; -1: the child
  // keeps the descriptor of this process.
  std::array<int, 3> streams{-1, -1, -1};
  Group group = Group::same;
};

// Starts the child and waits until its exec is done. Returns the child's pid. The child has no
// descriptors except 0, 1 and 2, and no signal is blocked or ignored in it. Errors, after which no
// child is left: those of fork(2), dup2(2), setsid(2), execve(2); Errc::bad_directory.
[[nodiscard]] Result<pid_t> spawn_child(const SpawnPlan& plan);

}  // namespace reactor
