// SPDX-License-Identifier: MIT
// These functions open and set up datagram sockets. Private to net/.
#pragma once

#include "reactor/base/result.h"
#include "reactor/net/address.h"
#include "reactor/net/socket.h"

namespace reactor {

struct DatagramOptions;

// DatagramTraits has the features that the kernel has granted to a socket.
struct DatagramTraits {
  bool tells_local = false;   // IP_PKTINFO: received datagrams come with their local address
  bool segments = false;      // UDP_SEGMENT (udp(7)): sends joined datagrams
  bool coalesces = false;     // UDP_GRO (udp(7)): receives joined datagrams
  bool keeps_errors = false;  // it has an error queue (ip(7) IP_RECVERR)
};

// Returns a socket that is bound to `local` and connected to `peer`. Skips the step whose address
// is of family AF_UNSPEC. A unix path that a dead server left behind is replaced. Errors: those of
// socket(2), bind(2), connect(2), setsockopt(2).
[[nodiscard]] Result<Socket> open_datagram_socket(const Address& local, const Address& peer,
                                                  const DatagramOptions& options);
// Makes the socket non-blocking and close-on-exec. Errors: not_a_socket; wrong_protocol_type for a
// socket of another type; those of fcntl(2).
[[nodiscard]] Result<> adopt_datagram_socket(int fd);
// Returns how many of the bytes that a unix socket has sent are still unread. Linux charges them to
// the socket's send buffer (unix(7) SIOCOUTQ). 0 on other systems.
[[nodiscard]] std::size_t unread_bytes(int fd) noexcept;
// Sets the options that the kernel has. Returns the features that it has granted.
[[nodiscard]] DatagramTraits equip_datagram_socket(int fd, const Address& local,
                                                   const DatagramOptions& options) noexcept;

}  // namespace reactor
