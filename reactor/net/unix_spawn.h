// SPDX-License-Identifier: MIT
// fork(2) and exec(3) of another program. Private to net/.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "reactor/base/result.h"

namespace reactor {

// All that the child needs, made before the fork: it may not allocate.
struct SpawnPlan {
  enum class Group : std::uint8_t { same, own, session };

  std::vector<std::string> files;        // tried in order, as execvp(3) does
  std::vector<std::string> arguments;    // argv
  std::vector<std::string> environment;  // NAME=VALUE, all of it
  std::string directory;                 // empty: the present one
  // What 0, 1 and 2 shall be copies of: descriptors beyond 2; -1: as they are.
  std::array<int, 3> streams{-1, -1, -1};
  Group group = Group::same;
};

// Gives the child's pid once it runs the program. It has no other descriptors than 0, 1 and 2, and
// no signal is blocked or ignored in it. Waits until its exec is done. Errors: those of fork(2),
// dup2(2), setsid(2), execve(2); Errc::bad_directory. No child is left then.
[[nodiscard]] Result<pid_t> spawn_child(const SpawnPlan& plan);

}  // namespace reactor
