// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"

namespace servers {

// What `job` returns, from a forked process that is killed after `limit`: for system calls and
// library functions that may never come back (a name server or a user database that does not
// answer). A process that even SIGKILL can't end is left to itself half a second later. `job`
// inherits everything and must not touch what belongs to this process. Errors: Errc::timed_out;
// Errc::unexpected_end if the process ended without a result; those of pipe(2) and fork(2).
[[nodiscard]] reactor::Result<std::string> ask_helper(reactor::Callback<std::string()> job,
                                                      reactor::Duration limit);

}  // namespace servers
