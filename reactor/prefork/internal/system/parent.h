// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

namespace reactor::prefork {

// Called in a child: the kernel kills it when `parent` dies. If `parent` is dead already, the child
// exits now. On systems other than Linux a pipe or socket between the two ends the child, unless
// the child is stuck. Linux: prctl(2) PR_SET_PDEATHSIG, which a change of user clears. Private to
// prefork.
void die_with(pid_t parent) noexcept;

}  // namespace reactor::prefork
