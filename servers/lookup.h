// SPDX-License-Identifier: MIT
// Names that somebody else knows: a name server, a user database that may be on a network. Each is
// asked for once, when the program starts, in a helper process and for at most kLookupLimit.
#pragma once

#include <string>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/net/address.h"
#include "reactor/prefork/identity.h"

namespace servers {

// Longer than the 10 s that the system's resolver spends on one dead name server by default, whose
// own message is the better one.
inline constexpr reactor::Duration kLookupLimit = std::chrono::seconds(15);

// The addresses of a host in the resolver's order (getaddrinfo(3)), with `port`, a number.
// Throws std::runtime_error with the reason if there are none.
[[nodiscard]] std::vector<reactor::Address> look_up_host(const std::string& host,
                                                         const std::string& port, bool datagrams);

// As prefork::find_identity(). Errors: also Errc::timed_out.
[[nodiscard]] reactor::Result<reactor::prefork::Identity> look_up_identity(
    const std::string& user, const std::string& group);

}  // namespace servers
