// SPDX-License-Identifier: MIT
// Options of a datagram socket for groups (ip(7), ipv6(7)). Datagram's comments tell what they do.
// Private to net/.
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
