// SPDX-License-Identifier: MIT
// Passing descriptors between processes over unix sockets (unix(7), SCM_RIGHTS).
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/socket.h"

namespace reactor {

// Two connected unix sockets, non-blocking and closed on exec, that keep messages apart
// (SOCK_SEQPACKET, else SOCK_DGRAM). Errors: those of socketpair(2), fcntl(2).
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> message_pair();

// Sends `bytes` (at least one) with a copy of `descriptor` (-1: none) in one message. Would-block:
// there is no room. Errors: those of sendmsg(2); too_many_files_open_in_system (ETOOMANYREFS) where
// too many descriptors are under way.
[[nodiscard]] IoResult send_with_descriptor(int socket, std::span<const std::byte> bytes,
                                            int descriptor) noexcept;

// Receives one message, and the descriptor that came with it, closed on exec. Other descriptors
// that were sent with it are closed; where this process has none free `descriptor` stays empty.
// Errors: those of recvmsg(2); message_size where `buffer` is too small: the message is dropped
// then.
[[nodiscard]] IoResult receive_with_descriptor(int socket, std::span<std::byte> buffer,
                                               UniqueFd& descriptor) noexcept;

}  // namespace reactor
