// SPDX-License-Identifier: MIT
#if defined(__APPLE__)
#define __APPLE_USE_RFC_3542  // otherwise IPV6_RECVPKTINFO is hidden
#endif
#include "reactor/net/datagram/internal/datagram_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#if defined(__linux__)
#include <linux/sockios.h>
#endif

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/internal/socket_options.h"
#include "reactor/net/internal/unix_path.h"
#include "reactor/net/socket_file.h"

namespace reactor {
namespace {

bool set_options_before_bind(int fd, int family, const DatagramOptions& options) noexcept {
  if (family == AF_UNIX) return true;
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0);
#if defined(IP_MULTICAST_ALL)
  // Otherwise the socket would also receive the groups that other programs have joined (ip(7)).
  set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
#endif
#if defined(IPV6_MULTICAST_ALL)
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
#endif
  if (options.broadcast && !set_option(fd, SOL_SOCKET, SO_BROADCAST, 1)) return false;
  if (options.reuse_address && !set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1)) return false;
  return !options.reuse_port || set_option(fd, SOL_SOCKET, kReusePort, 1);
}

std::error_code bind_to(int fd, const Address& local, const DatagramOptions& options) {
  if (local.is_unix()) return bind_unix(fd, local, options.unix_mode);
  return ::bind(fd, local.data(), local.size()) == 0 ? std::error_code{} : last_system_error();
}

// Gives a unix client a name, if the kernel can choose one. The peer could not answer a client
// without a name.
void bind_to_some_name([[maybe_unused]] int fd) noexcept {
#if defined(__linux__)
  sockaddr name{};
  name.sa_family = AF_UNIX;
  static_cast<void>(::bind(fd, &name, sizeof(name.sa_family)));  // autobind (unix(7))
#endif
}

bool is_any(const Address& address) noexcept {
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address.data(), sizeof(v4));
    return v4.sin_addr.s_addr == htonl(INADDR_ANY);
  }
  if (address.family() != AF_INET6) return false;
  sockaddr_in6 v6{};
  std::memcpy(&v6, address.data(), sizeof(v6));
  return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

// Returns whether the address is a group or a broadcast address. A socket that is bound to it must
// answer from another address. connect(2) reveals a broadcast address, because it refuses one
// (ip(7)).
bool is_shared(const Address& address) {
  if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address.data(), sizeof(v6));
    return IN6_IS_ADDR_MULTICAST(&v6.sin6_addr);
  }
  if (address.family() != AF_INET) return false;
  sockaddr_in v4{};
  std::memcpy(&v4, address.data(), sizeof(v4));
  if (IN_MULTICAST(ntohl(v4.sin_addr.s_addr))) return true;
  const Result<Socket> probe = Socket::open(AF_INET, SOCK_DGRAM);
  return probe && ::connect(probe->fd(), address.data(), address.size()) != 0 && errno == EACCES;
}

// Makes the kernel report the local address of each received datagram. A v6 socket that also
// receives v4 datagrams asks for the address in both forms. Only the v4 form also tells from which
// address to answer a broadcast.
bool tell_local([[maybe_unused]] int fd, [[maybe_unused]] int family) noexcept {
  bool told = false;
#if defined(IP_PKTINFO)
  told = set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
#endif
#if defined(IPV6_RECVPKTINFO)
  if (family == AF_INET6) told = set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
#endif
  return told;
}

// Returns whether the socket has an error queue. Nothing here asks for one, but the program that
// made an adopted socket may have asked for one.
bool has_error_queue([[maybe_unused]] int fd) noexcept {
  bool found = false;
#if defined(__linux__)
  constexpr std::array<std::pair<int, int>, 3> kOptions{
      {{IPPROTO_IP, IP_RECVERR}, {IPPROTO_IPV6, IPV6_RECVERR}, {SOL_SOCKET, SO_TIMESTAMPING}}};
  for (const auto& [level, name] : kOptions) {
    found = found || option_of(fd, level, name) != 0;  // the flags of SO_TIMESTAMPING
  }
#endif
  return found;
}

}  // namespace

Result<Socket> open_datagram_socket(const Address& local, const Address& peer,
                                    const DatagramOptions& options) {
  const bool binds = local.family() != AF_UNSPEC;
  const int family = binds ? local.family() : peer.family();
  Result<Socket> socket = Socket::open(family, SOCK_DGRAM);
  if (!socket) return socket;
  const int number = socket->fd();
  if (!set_options_before_bind(number, family, options)) return last_system_error();
  const SocketFolderLock lock(local);
  if (binds) {
    if (const std::error_code error = bind_to(number, local, options)) return error;
  } else if (family == AF_UNIX) {
    bind_to_some_name(number);
  }
  SocketFile file(local);
  if (peer.family() != AF_UNSPEC && ::connect(number, peer.data(), peer.size()) != 0) {
    return last_system_error();
  }
  file.release();  // the caller owns it from here on
  return socket;
}

Result<> adopt_datagram_socket(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) return last_system_error();
  if (type != SOCK_DGRAM) return std::make_error_code(std::errc::wrong_protocol_type);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return last_system_error();
  }
#if defined(SO_NOSIGPIPE)
  set_option(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  return {};
}

std::size_t unread_bytes([[maybe_unused]] int fd) noexcept {
  int count = 0;
#if defined(SIOCOUTQ)
  if (::ioctl(fd, SIOCOUTQ, &count) != 0) return 0;
#endif
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

DatagramTraits equip_datagram_socket(int fd, const Address& local,
                                     const DatagramOptions& options) noexcept {
  DatagramTraits traits;
  if (options.receive_buffer > 0) set_option(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer);
  if (options.send_buffer > 0) set_option(fd, SOL_SOCKET, SO_SNDBUF, options.send_buffer);
  if (local.is_unix()) return traits;
  traits.keeps_errors = has_error_queue(fd);
  if (is_any(local) || is_shared(local)) traits.tells_local = tell_local(fd, local.family());
#if defined(UDP_SEGMENT)
  int segment = 0;
  socklen_t length = sizeof(segment);
  traits.segments = options.segmentation_offload &&
                    ::getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &length) == 0;
#endif
#if defined(UDP_GRO)  // an adopted socket may have it on
  const bool set = set_option(fd, IPPROTO_UDP, UDP_GRO, options.receive_offload ? 1 : 0);
  traits.coalesces = set && options.receive_offload;
#endif
  return traits;
}

}  // namespace reactor
