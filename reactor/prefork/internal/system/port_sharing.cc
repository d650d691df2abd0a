// SPDX-License-Identifier: MIT
// Port sharing: on Linux, SO_REUSEPORT can be set after listen(2). So the first socket of a group
// begins to listen without it, which fails if another server has the address. The option is set
// afterwards, so that the other sockets can join.
#include "reactor/prefork/internal/system/port_sharing.h"

#include <net/if.h>
#include <sys/socket.h>

#include <array>

#include "reactor/base/error.h"
#include "reactor/net/internal/socket_options.h"

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

// Binds a second socket and closes it again, because only bind(2) tells whether another socket may
// join. Even a server with one worker tries this, because TTIN may add a worker.
bool spread(const Socket& inherited, const Address& address, ListenOptions listen) {
  if (is_bound_to_device(inherited.fd())) return false;
  const int before = option_of(inherited.fd(), SOL_SOCKET, SO_REUSEPORT);
  if (set_reuse_port(inherited.fd(), 1)) return false;
  listen.reuse_port = true;
  if (Socket::reserve(address, listen)) return true;
  static_cast<void>(set_reuse_port(inherited.fd(), before));
  return false;
}

void end_spreading(int inherited) noexcept { static_cast<void>(set_reuse_port(inherited, 0)); }
#else
}  // namespace

bool spread(const Socket&, const Address&, ListenOptions) { return false; }
void end_spreading(int) noexcept {}
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
// On other systems a socket joins a group by bind(2) alone. So this function first checks whether
// the address is free. Two servers that start at the same time may both find it free.
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
