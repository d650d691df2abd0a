// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <system_error>
#include <vector>

#include "reactor/base/result.h"

namespace reactor::prefork {

// The user and the groups that a process runs as. A value.
struct Identity {
  uid_t user = 0;
  gid_t group = 0;
  std::vector<gid_t> groups;  // the supplementary groups
};

// Finds an identity by names or numbers. An empty `group` means the user's own group. An empty
// `user` means the present user, but without supplementary groups. Reads the system's databases,
// which may be slow if they are on a network. So call this before the fork.
// Errors: Errc::unknown_user; Errc::unknown_group, also if `user` is a number without an entry and
// no group is given.
[[nodiscard]] Result<Identity> find_identity(const std::string& user, const std::string& group);

// Whether this process has that user and group already, both as real and as effective IDs.
[[nodiscard]] bool is_current(const Identity& identity) noexcept;

// Becomes `identity` for good: sets the supplementary groups, the group and the user, then checks
// that the process can't become root again. No program that is executed later can gain privileges
// (PR_SET_NO_NEW_PRIVS). After a change of the user no process of the new user can trace this one
// (PR_SET_DUMPABLE). A process that is not root can only keep the identity that it has. The change
// of the user clears PR_SET_PDEATHSIG, so set that afterwards. Errors: those of setgroups(2),
// setgid(2), setuid(2), prctl(2); operation_not_permitted if the process could become root again,
// or if it is not root and `identity` is not its own. After an error the process must end, because
// it may still have a part of its old rights.
[[nodiscard]] std::error_code drop_to(const Identity& identity) noexcept;

}  // namespace reactor::prefork
