// SPDX-License-Identifier: MIT
// These functions pass descriptors between processes over unix sockets (unix(7), SCM_RIGHTS).
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/socket.h"

namespace reactor {

// Returns two connected unix sockets, non-blocking and close-on-exec, that keep messages apart
// (SOCK_SEQPACKET, or SOCK_DGRAM on systems without it). Errors: those of socketpair(2), fcntl(2).
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> message_pair();

// Sends `bytes` (at least one) with a copy of `descriptor` (-1: none) in one message. Returns
// would-block if the socket has no room. Errors: those of sendmsg(2); too_many_files_open_in_system
// (ETOOMANYREFS) if too many descriptors are in flight.
[[nodiscard]] IoResult send_with_descriptor(int socket, std::span<const std::byte> bytes,
                                            int descriptor) noexcept;

// Receives one message, and puts its descriptor into `descriptor`, which is left empty if the
// message has none. The descriptor becomes close-on-exec. If the message has several, only the
// first is kept, and the others are closed. Errors: those of recvmsg(2); message_size if `buffer`
// is too small; too_many_files_open if a descriptor was lost because this process can open no more.
// After the last two errors the message and all its descriptors are lost.
[[nodiscard]] IoResult receive_with_descriptor(int socket, std::span<std::byte> buffer,
                                               UniqueFd& descriptor) noexcept;

// The most descriptors that one call sends (SCM_MAX_FD).
inline constexpr std::size_t kMostDescriptors = 253;

// Sends `bytes` (at least one) with copies of `descriptors` (0..kMostDescriptors). The caller keeps
// the originals. Works on connected unix sockets of every type, and between processes that do not
// trust each other. A stream socket may send only some of the bytes. All descriptors are then sent
// with those bytes, so send the remaining bytes without descriptors. Would-block means that nothing
// was sent. Errors: those of send_with_descriptor(); invalid_argument for too many descriptors.
[[nodiscard]] IoResult send_with_descriptors(int socket, std::span<const std::byte> bytes,
                                             std::span<const int> descriptors) noexcept;

struct ReceivedDescriptors {
  IoResult bytes = IoResult::blocked();  // how many arrived; never is_error()
  std::size_t descriptors = 0;           // how many arrived
};

// Receives bytes, and the descriptors that arrived with them. Empties `places`, and puts the
// descriptors into its first elements. The descriptors become close-on-exec. All other flags, such
// as O_NONBLOCK, stay shared with the sender.
//
// On a stream socket, one call may return bytes that were sent without descriptors together with
// later bytes that have some. One call never returns the descriptors of two sends. If recv(2),
// read(2) or a Stream reads bytes that have descriptors, the descriptors are lost.
//
// Errors: Errc::control_truncated if descriptors were lost because this process can open no more;
// Errc::surplus_descriptors if more arrived than fit into `places`; message_size if a message is
// longer than `buffer`; those of recvmsg(2). After the first three errors, the bytes are lost and
// all descriptors that arrived are closed, so close the connection.
[[nodiscard]] Result<ReceivedDescriptors> receive_with_descriptors(int socket,
                                                                   std::span<std::byte> buffer,
                                                                   std::span<UniqueFd> places);

}  // namespace reactor
