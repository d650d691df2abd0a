// SPDX-License-Identifier: MIT
// Deaf listeners: shutdown(2) on a listening socket ends it in all processes that share it, so one
// worker can do that to the whole server. Private to prefork.
#pragma once

#include <span>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/address.h"

namespace reactor::prefork {

// Which of these listening sockets were shut down; their indices. One poll(2).
[[nodiscard]] std::vector<std::size_t> find_deaf(std::span<const int> listeners);

// Lets a TCP socket that was shut down listen again, for all processes that share it. `address` is
// what it was bound to, as the kernel may have let go of the port. Connections that waited in its
// queue are lost. Errors: those of bind(2), listen(2).
[[nodiscard]] Result<> listen_again(int listener, const Address& address, int backlog);

}  // namespace reactor::prefork
