// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

namespace reactor::prefork {

// In a child: the kernel kills it when `parent` dies, and it ends now where that is dead already.
// Where the kernel can't, a pipe or socket between them does it, but not for a child that is stuck.
// Private to prefork. Linux: prctl(2) PR_SET_PDEATHSIG, which a change of user forgets.
void die_with(pid_t parent) noexcept;

}  // namespace reactor::prefork
