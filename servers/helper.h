// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace servers {

// Runs `job` in a forked process and returns its result. The process is killed after `limit`. Use
// this for system calls and library functions that may never return, for example because a name
// server or a user database does not answer. If not even SIGKILL ends the process, it is abandoned
// half a second later. `job` inherits all descriptors and memory of this process, and must not
// change anything that this process shares with it. Errors: Errc::timed_out; Errc::unexpected_end
// if the process ended without a result; those of pipe(2) and fork(2).
[[nodiscard]] reactor::Result<std::string> ask_helper(reactor::Callback<std::string()> job,
                                                      reactor::Duration limit);

}  // namespace servers
