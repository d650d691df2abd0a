// SPDX-License-Identifier: MIT
#include "reactor/dns/internal/sockets.h"

#include <ares.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <span>

#include "reactor/net/socket.h"

namespace reactor::dns {
namespace {

// Each function behaves as the system call of its name: on failure it returns -1 and sets errno.

ares_socket_t open_socket(int family, int type, int protocol, void*) noexcept {
  Result<Socket> socket = Socket::open(family, type, protocol);
  if (socket) return socket->release().release();
  errno = socket.error().value();
  return ARES_SOCKET_BAD;
}

int close_socket(ares_socket_t fd, void*) noexcept { return ::close(fd); }

int connect_socket(ares_socket_t fd, const sockaddr* address, ares_socklen_t length,
                   void*) noexcept {
  return ::connect(fd, address, length);
}

ares_ssize_t receive(ares_socket_t fd, void* buffer, std::size_t size, int flags, sockaddr* from,
                     ares_socklen_t* length, void*) noexcept {
  return ::recvfrom(fd, buffer, size, flags, from, length);
}

// Sends only the first piece: c-ares handles a short write, and its datagrams have one piece.
ares_ssize_t send(ares_socket_t fd, const iovec* pieces, int, void*) noexcept {
  const auto* const bytes = static_cast<const std::byte*>(pieces->iov_base);
  const IoResult result = Socket::send(fd, std::span(bytes, pieces->iov_len));
  if (result.ok()) return static_cast<ares_ssize_t>(result.count());
  errno = result.would_block() ? EAGAIN : result.error().value();
  return -1;
}

constexpr ares_socket_functions kFunctions = {open_socket, close_socket, connect_socket, receive,
                                              send};

}  // namespace

void use_own_sockets(ares_channeldata* channel) noexcept {
  ::ares_set_socket_functions(channel, &kFunctions, nullptr);
}

}  // namespace reactor::dns
