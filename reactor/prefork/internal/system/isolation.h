// SPDX-License-Identifier: MIT
// Isolation: a new worker process gives up rights before the application's code runs in it, so that
// a client that takes over the worker gains less. Private to prefork.
#pragma once

#include <sys/types.h>

#include <optional>
#include <system_error>

#include "reactor/prefork/identity.h"

namespace reactor::prefork {

// Becomes `identity`, if there is one, and gives up rights (drop_to()). If that fails, logs the
// reason and returns false: this process must not serve then.
[[nodiscard]] bool take_identity(const std::optional<Identity>& identity);

// Separates a worker from its master. First calls leave_terminal(). Then calls take_identity(), or
// only give_up_rights() if there is no identity. If a step fails, logs the reason and returns
// false: this process must not serve then.
[[nodiscard]] bool isolate_worker(const std::optional<Identity>& identity);

// Leaves the master's session and terminal. A process in that session could type commands into the
// terminal (ioctl(2), TIOCSTI), and a process that can read the terminal sees the keys that a user
// types. Standard input becomes /dev/null, unless number 0 is a descriptor that this program opened
// (close-on-exec). Standard output and error become write-only if they are terminals. Call it while
// the process has the master's rights. Errors: those of setsid(2).
std::error_code leave_terminal() noexcept;

// Makes sure that no program that this process or its children execute gains rights
// (PR_SET_NO_NEW_PRIVS). If this process no longer runs as the user `master`, also makes sure that
// no other process of its user can trace it or read its memory (PR_SET_DUMPABLE). Call it as the
// worker's user. Does nothing on systems other than Linux. Errors: those of prctl(2).
std::error_code give_up_rights(uid_t master) noexcept;

}  // namespace reactor::prefork
