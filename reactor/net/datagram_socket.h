// SPDX-License-Identifier: MIT
// Opening and setting up datagram sockets. Private to net/.
#pragma once

#include "reactor/base/result.h"
#include "reactor/net/address.h"
#include "reactor/net/socket.h"

namespace reactor {

struct DatagramOptions;

// What a socket was set up to do, as far as the kernel can.
struct DatagramTraits {
  bool tells_local = false;   // IP_PKTINFO
  bool segments = false;      // UDP_SEGMENT (udp(7))
  bool coalesces = false;     // UDP_GRO
  bool keeps_errors = false;  // has a queue of errors (ip(7) IP_RECVERR)
};

// A socket that is bound to `local` and connected to `peer`, as far as these are there. A unix path
// that a dead server left behind is replaced. Errors: those of socket(2), bind(2), connect(2),
// setsockopt(2).
[[nodiscard]] Result<Socket> open_datagram_socket(const Address& local, const Address& peer,
                                                  const DatagramOptions& options);
// Makes it non-blocking and close-on-exec. Errors: not_a_socket; wrong_protocol_type for one of
// another type; those of fcntl(2).
[[nodiscard]] Result<> adopt_datagram_socket(int fd);
// Bytes that a unix socket has sent and that nobody has read, which Linux charges to its send
// buffer (unix(7) SIOCOUTQ). 0 on systems that don't.
[[nodiscard]] std::size_t unread_bytes(int fd) noexcept;
// Sets up what the options want, as far as the kernel has it.
[[nodiscard]] DatagramTraits equip_datagram_socket(int fd, const Address& local,
                                                   const DatagramOptions& options) noexcept;

}  // namespace reactor
