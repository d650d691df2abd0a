// SPDX-License-Identifier: MIT
// These functions look up names in a name server or in a user database, which may be on a network.
// Each name is looked up once, when the program starts, in a helper process and for at most
// kLookupLimit.
#pragma once

#include <string>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/net/address.h"
#include "reactor/prefork/identity.h"

namespace servers {

// The longest time for one look-up. By default the system's resolver gives up on a dead name server
// after 10 s. kLookupLimit is longer, so that the user gets the resolver's error message, which is
// better than ours.
inline constexpr reactor::Duration kLookupLimit = std::chrono::seconds(15);

// Returns the addresses of a host in the resolver's order (getaddrinfo(3)), each with the port
// number in `port`. Throws std::runtime_error with the reason if there are none.
[[nodiscard]] std::vector<reactor::Address> look_up_host(const std::string& host,
                                                         const std::string& port, bool datagrams);

// Works like prefork::find_identity(). Errors: also Errc::timed_out.
[[nodiscard]] reactor::Result<reactor::prefork::Identity> look_up_identity(
    const std::string& user, const std::string& group);

}  // namespace servers
