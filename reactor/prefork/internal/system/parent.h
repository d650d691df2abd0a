// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

namespace reactor::prefork {

// Call this in a child. From then on the kernel kills the child when `parent` dies. If `parent` is
// dead already, the child exits now. On other systems nothing kills it: there the child ends when
// a pipe or socket from its parent reports the end of file, which it can't notice while a callback
// blocks its loop. Linux: prctl(2) PR_SET_PDEATHSIG, which a change of user clears. Private to
// prefork.
void die_with(pid_t parent) noexcept;

}  // namespace reactor::prefork
