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
constexpr bool kKernelBalances = false;  // plain SO_REUSEPORT gives all to one socket there
#endif

// The first socket of such a group. With SO_REUSEPORT from the start a second server of the same
// user could bind beside us and take a part of the connections. Listening without it is for one
// server only, and lets the rest of the group in afterwards. Errors: those of Socket::listen().
[[nodiscard]] Result<Socket> claim(const Address& address, ListenOptions listen);

// Lets `group`, of one inherited socket, grow to one per slot. The kernel allows it to the user who
// made that socket, even though it listens already; for others it stays the only one: false.
// Errors: those of Socket::listen().
[[nodiscard]] Result<bool> spread(std::vector<Socket>& group, const Address& address,
                                  const Options& options);

}  // namespace reactor::prefork
