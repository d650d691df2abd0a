// SPDX-License-Identifier: MIT
// Groups of listening sockets at one address, over which the kernel balances connections. Private
// to prefork.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/options.h"

namespace reactor::prefork {

#if defined(__linux__) || defined(SO_REUSEPORT_LB)
constexpr bool kKernelBalances = true;
#else
constexpr bool kKernelBalances = false;  // SO_REUSEPORT gives all connections to one socket there
#endif

// Opens the first socket of such a group. It does not listen with SO_REUSEPORT, because then a
// second server of the same user could bind beside us and get a part of the connections. Only one
// server can listen without that option; the option is set afterwards, so that the rest of the
// group can join. Errors: those of Socket::listen().
[[nodiscard]] Result<Socket> claim(const Address& address, ListenOptions listen);

// Lets `group`, which has one inherited socket, grow to one socket per slot. The kernel allows that
// to the user who made the inherited socket, even though it listens already. Returns false for
// other users, or if the socket is bound to a device: the group keeps its one socket. Errors: those
// of Socket::listen().
[[nodiscard]] Result<bool> spread(std::vector<Socket>& group, const Address& address,
                                  const Options& options);

}  // namespace reactor::prefork
