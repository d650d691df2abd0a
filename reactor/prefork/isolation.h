// SPDX-License-Identifier: MIT
// Isolation: what a new worker process gives up before the application's code runs in it. A client
// that takes a worker over then finds less to go on with. Private to prefork.
#pragma once

#include <sys/types.h>

#include <optional>
#include <system_error>

#include "reactor/prefork/identity.h"

namespace reactor::prefork {

// Becomes `identity` if there is one, and gives up rights (drop_to()). False: this process must not
// serve, which is logged.
[[nodiscard]] bool take_identity(const std::optional<Identity>& identity);

// All that a worker does to be apart from its master: leave_terminal(), and take_identity(), which
// gives up rights too, or without an identity give_up_rights(). False: this process must not serve,
// which is logged.
[[nodiscard]] bool isolate_worker(const std::optional<Identity>& identity);

// Leaves the master's session and its terminal: a process of that session could type commands into
// it (ioctl(2), TIOCSTI), and any process that can read it sees what is typed. Standard input
// becomes /dev/null unless number 0 is a descriptor of this program's (closed on exec); standard
// output and error, if they are terminals, become write-only. Call it with the master's rights.
// Errors: those of setsid(2).
std::error_code leave_terminal() noexcept;

// No program that this process or its children execute gains rights (PR_SET_NO_NEW_PRIVS), and if
// it is not the user `master`, its former self, no process of its own user can trace it or read its
// memory (PR_SET_DUMPABLE). Call it as the worker's user. Does nothing on other
// systems.
// Errors: those of prctl(2).
std::error_code give_up_rights(uid_t master) noexcept;

}  // namespace reactor::prefork
