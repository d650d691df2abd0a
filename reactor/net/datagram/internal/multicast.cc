// SPDX-License-Identifier: MIT
#include "reactor/net/datagram/internal/multicast.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "reactor/base/error.h"

namespace reactor::multicast {
namespace {

template <class Value>
Result<> set_option(int fd, int level, int name, const Value& value) {
  if (::setsockopt(fd, level, name, &value, sizeof(value)) == 0) return {};
  return last_system_error();
}

// Sets the v4 option and, on a v6 socket, the v6 option too. On Linux, the v4 option of a v6 socket
// applies to datagrams to v4 groups. Other systems refuse it on a v6 socket, and that error is
// ignored.
template <class Six, class Four>
Result<> set_both(int fd, int family, int name6, const Six& value6, int name4, const Four& value4) {
  if (family != AF_INET6) return set_option(fd, IPPROTO_IP, name4, value4);
  static_cast<void>(set_option(fd, IPPROTO_IP, name4, value4));
  return set_option(fd, IPPROTO_IPV6, name6, value6);
}

int level_of(int family) noexcept { return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP; }

// Changes the membership by interface index, which works for both families (RFC 3678 section 5.1).
Result<> change(int fd, int what, const Address& group, unsigned interface) {
  if (group.family() != AF_INET && group.family() != AF_INET6) return Errc::not_supported;
  group_req request{};
  request.gr_interface = interface;
  std::memcpy(&request.gr_group, group.data(), group.size());
  return set_option(fd, level_of(group.family()), what, request);
}

in_addr v4_of(const Address& address) noexcept {
  sockaddr_in v4{};
  std::memcpy(&v4, address.data(), sizeof(v4));
  return v4.sin_addr;
}

Result<> change(int fd, int what, const Address& group, const Address& interface) {
  if (group.family() != AF_INET || interface.family() != AF_INET) return Errc::not_supported;
  ip_mreq request{};
  request.imr_multiaddr = v4_of(group);
  request.imr_interface = v4_of(interface);
  return set_option(fd, IPPROTO_IP, what, request);
}

}  // namespace

Result<> join(int fd, const Address& group, unsigned interface) {
  return change(fd, MCAST_JOIN_GROUP, group, interface);
}
Result<> join(int fd, const Address& group, const Address& interface) {
  return change(fd, IP_ADD_MEMBERSHIP, group, interface);
}
Result<> leave(int fd, const Address& group, unsigned interface) {
  return change(fd, MCAST_LEAVE_GROUP, group, interface);
}
Result<> leave(int fd, const Address& group, const Address& interface) {
  return change(fd, IP_DROP_MEMBERSHIP, group, interface);
}

Result<> set_interface(int fd, int family, unsigned interface) {
  ip_mreqn v4{};
  v4.imr_ifindex = static_cast<int>(interface);
  return set_both(fd, family, IPV6_MULTICAST_IF, interface, IP_MULTICAST_IF, v4);
}

Result<> set_interface(int fd, const Address& interface) {
  if (interface.family() != AF_INET) return Errc::not_supported;
  return set_option(fd, IPPROTO_IP, IP_MULTICAST_IF, v4_of(interface));
}

// Every system accepts a byte for the v4 option, but only some accept an int.
Result<> set_loop(int fd, int family, bool on) {
  return set_both(fd, family, IPV6_MULTICAST_LOOP, unsigned{on}, IP_MULTICAST_LOOP,
                  static_cast<unsigned char>(on));
}

Result<> set_hops(int fd, int family, int hops) {
  if (hops < 0 || hops > 255) return std::make_error_code(std::errc::invalid_argument);
  return set_both(fd, family, IPV6_MULTICAST_HOPS, hops, IP_MULTICAST_TTL,
                  static_cast<unsigned char>(hops));
}

Result<> set_broadcast(int fd, bool on) {
  return set_option(fd, SOL_SOCKET, SO_BROADCAST, static_cast<int>(on));
}

}  // namespace reactor::multicast
