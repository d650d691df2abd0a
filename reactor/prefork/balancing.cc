// SPDX-License-Identifier: MIT
#include "reactor/prefork/balancing.h"

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/net/socket_options.h"

namespace reactor::prefork {
namespace {

#if defined(__linux__)
std::error_code set_reuse_port(int fd, int on) {
  if (set_option(fd, SOL_SOCKET, SO_REUSEPORT, on)) return {};
  return last_system_error();
}

// Whether the socket listens on one device only. A second socket that is bound to its address would
// listen on all devices.
bool is_bound_to_device(int fd) {
  std::array<char, IFNAMSIZ> name{};
  socklen_t length = name.size();
  return ::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0 && length > 0;
}

}  // namespace

Result<bool> spread(std::vector<Socket>& group, const Address& address, const Options& options) {
  const int first = group.front().fd();
  if (is_bound_to_device(first)) return false;
  const int before = option_of(first, SOL_SOCKET, SO_REUSEPORT);
  if (set_reuse_port(first, 1)) return false;
  ListenOptions listen = options.listen;
  listen.reuse_port = true;
  listen.v6_only = address.family() == AF_INET6 && option_of(first, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
  while (group.size() < options.workers) {
    Result<Socket> sibling = Socket::listen(address, listen);
    if (!sibling && group.size() == 1) {
      if (const std::error_code error = set_reuse_port(first, before)) return error;
      return false;
    }
    if (!sibling) return sibling.error();
    group.push_back(std::move(*sibling));
  }
  return true;
}
#else
}  // namespace

Result<bool> spread(std::vector<Socket>&, const Address&, const Options&) { return false; }
#endif

#if defined(__linux__)
Result<Socket> claim(const Address& address, ListenOptions listen) {
  listen.reuse_port = false;
  Result<Socket> first = Socket::listen(address, listen);
  if (!first) return first;
  if (const std::error_code error = set_reuse_port(first->fd(), 1)) return error;
  return first;
}
#else
// On other systems a socket joins a group by bind(2) alone. So this first tries whether the address
// is free. Two servers that start at the same moment may both find it free.
Result<Socket> claim(const Address& address, ListenOptions listen) {
  if (address.port() != 0) {
    ListenOptions alone = listen;
    alone.reuse_port = false;
    if (Result<Socket> probe = Socket::listen(address, alone); !probe) return probe.error();
  }
  return Socket::listen(address, listen);
}
#endif

}  // namespace reactor::prefork
