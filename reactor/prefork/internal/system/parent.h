// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

namespace reactor::prefork {

// Call this in a child. If `parent` is dead already, the child exits now. On Linux, the kernel
// kills the child when `parent` dies (prctl(2) PR_SET_PDEATHSIG, which a change of user clears). On
// other systems nothing kills the child. There it ends when a pipe or socket from its parent
// reports end of file, which it can't notice while a callback blocks its loop. Private to prefork.
void die_with(pid_t parent) noexcept;

}  // namespace reactor::prefork
