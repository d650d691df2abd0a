// SPDX-License-Identifier: MIT
// Groups of listening sockets at one address, over which the kernel balances connections. Private
// to prefork.
#pragma once

#include <sys/socket.h>

#include "reactor/base/result.h"
#include "reactor/net/socket.h"

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

// Lets other sockets join an inherited socket, although the inherited socket listens already. The
// kernel allows this only to the user who made the inherited socket. Returns false, and changes
// nothing, for other users or if the socket is bound to a device.
[[nodiscard]] bool spread(const Socket& inherited, const Address& address, ListenOptions listen);
// Undoes spread() for a socket that was not spread before.
void end_spreading(int inherited) noexcept;

}  // namespace reactor::prefork
