// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

namespace reactor::prefork {

// Call this in a child. From then on the kernel kills the child when `parent` dies. If `parent` is
// dead already, the child exits now. Systems other than Linux can't kill it: there the child ends
// because a pipe or socket from its parent reports the end of file, but not while a callback blocks
// its loop. Linux: prctl(2) PR_SET_PDEATHSIG, which a change of user clears. Private to prefork.
void die_with(pid_t parent) noexcept;

}  // namespace reactor::prefork
