// SPDX-License-Identifier: MIT
// These functions set the multicast options of a datagram socket (ip(7), ipv6(7)). The comments of
// Datagram describe them. Private to net/.
#pragma once

#include "reactor/base/result.h"
#include "reactor/net/address.h"

namespace reactor::multicast {

Result<> join(int fd, const Address& group, unsigned interface);
Result<> join(int fd, const Address& group, const Address& interface);
Result<> leave(int fd, const Address& group, unsigned interface);
Result<> leave(int fd, const Address& group, const Address& interface);
Result<> set_interface(int fd, int family, unsigned interface);
Result<> set_interface(int fd, const Address& interface);
Result<> set_loop(int fd, int family, bool on);
Result<> set_hops(int fd, int family, int hops);
Result<> set_broadcast(int fd, bool on);

}  // namespace reactor::multicast
