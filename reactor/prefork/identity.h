// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <system_error>
#include <vector>

#include "reactor/base/result.h"

namespace reactor::prefork {

// Who a process runs as. A value.
struct Identity {
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;  // supplementary ones
};

// By names or numbers. An empty `group` is the user's own, an empty `user` the present one, who
// then has no supplementary groups. Reads the system's databases, which may take time where they
// are on a network: before the fork, not after it.
// Errors: Errc::unknown_user, Errc::unknown_group; the latter also for a number without an entry
// where no group is given.
[[nodiscard]] Result<Identity> find_identity(const std::string& user, const std::string& group);

// Whether this process is that user and group already, for real and effectively.
[[nodiscard]] bool is_current(const Identity& identity) noexcept;

// Becomes `identity` for good: groups, group, user; then it is tried whether root can come back.
// No program that is executed later can gain privileges (PR_SET_NO_NEW_PRIVS), and after a change
// of the user no process of the new one can trace this one (PR_SET_DUMPABLE). A process that is not
// root can only stay who it is. The kernel forgets PR_SET_PDEATHSIG: set that afterwards.
// Errors: those of setgroups(2), setgid(2), setuid(2), prctl(2); operation_not_permitted where root
// did come back. After an error the process must end: it may have dropped a part.
[[nodiscard]] std::error_code drop_to(const Identity& identity) noexcept;

}  // namespace reactor::prefork
