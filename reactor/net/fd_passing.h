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
// that were sent with it are closed. Errors: those of recvmsg(2); message_size if `buffer` is too
// small; too_many_files_open if a descriptor was lost because this process has none free. The
// message is dropped then, with all that came with it.
[[nodiscard]] IoResult receive_with_descriptor(int socket, std::span<std::byte> buffer,
                                               UniqueFd& descriptor) noexcept;

// The most descriptors that one call sends (SCM_MAX_FD).
inline constexpr std::size_t kMostDescriptors = 253;

// For connected unix sockets of every type that strangers may use, streams too. Sends `bytes` (at
// least one) with copies of `descriptors` (0..kMostDescriptors), which stay the caller's. On a
// stream fewer octets may go than were asked for: all descriptors went with them, so send the rest
// without. Would-block: nothing was sent. Errors: as send_with_descriptor(); invalid_argument for
// too many.
[[nodiscard]] IoResult send_with_descriptors(int socket, std::span<const std::byte> bytes,
                                             std::span<const int> descriptors) noexcept;

struct ReceivedDescriptors {
  IoResult octets = IoResult::blocked();  // never is_error()
  std::size_t descriptors = 0;            // how many came
};

// Receives octets, and the descriptors that came with them into the first of `places`, which are
// emptied before. They are closed on exec, else as the sender has them, O_NONBLOCK included. What a
// stream gives at a time may begin before the octets that were sent with descriptors, and ends with
// them: descriptors of two sends never come together. Octets that are received by recv(2) or
// read(2), by a Stream too, lose their descriptors.
// Errors: Errc::control_truncated, Errc::surplus_descriptors, message_size where a message is
// longer than `buffer`: every descriptor that came is closed then, and the octets are gone, so give
// such a connection up; those of recvmsg(2).
[[nodiscard]] Result<ReceivedDescriptors> receive_with_descriptors(int socket,
                                                                   std::span<std::byte> buffer,
                                                                   std::span<UniqueFd> places);

}  // namespace reactor
