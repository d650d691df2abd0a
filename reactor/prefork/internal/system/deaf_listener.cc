// SPDX-License-Identifier: MIT
// Deaf listeners: find() compares the settings of each socket with those at its first call for that
// socket. On systems other than Linux it sees only a shutdown and a socket that blocks.
#include "reactor/prefork/internal/system/deaf_listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/net/internal/socket_options.h"
#include "reactor/net/socket.h"

namespace reactor::prefork {
namespace {

#if defined(POLLRDHUP)
constexpr short kShutDown = POLLRDHUP;  // the only sign that a unix socket was shut down
#else
constexpr short kShutDown = 0;
#endif

bool is_blocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

#if defined(__linux__)
// Asks only for the length of the filter. EACCES means an eBPF filter, which can't be read.
bool has_filter(int fd) noexcept {
  socklen_t length = 0;
  if (::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &length) != 0) return errno == EACCES;
  return length > 0;
}
#endif

}  // namespace

#if defined(__linux__)
Admission Admission::of(int listener) noexcept {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
    return {.blocks = is_blocking(listener)};
  }
  return {.listens = info.tcpi_state == TCP_LISTEN,
          .filtered = has_filter(listener),
          .locked = option_of(listener, SOL_SOCKET, SO_LOCK_FILTER) != 0,
          .backlog = info.tcpi_sacked,  // a listener's backlog is in this field
          .device = option_of(listener, SOL_SOCKET, SO_BINDTOIFINDEX),
          .min_ttl = option_of(listener, IPPROTO_IP, IP_MINTTL),
          .min_hops = option_of(listener, IPPROTO_IPV6, IPV6_MINHOPCOUNT),
          .blocks = is_blocking(listener)};
}
#else
Admission Admission::of(int listener) noexcept { return {.blocks = is_blocking(listener)}; }
#endif

std::vector<std::size_t> DeafListeners::find(std::span<const int> listeners) {
  std::vector<pollfd> sockets;
  sockets.reserve(listeners.size());
  for (const int listener : listeners) sockets.push_back({listener, kShutDown, 0});
  static_cast<void>(::poll(sockets.data(), static_cast<nfds_t>(sockets.size()), 0));
  std::vector<std::size_t> deaf;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const bool shut = (sockets[i].revents & (kShutDown | POLLHUP)) != 0;
    if (shut || !is_sound(listeners[i])) deaf.push_back(i);
  }
  return deaf;
}

bool DeafListeners::is_sound(int listener) {
  const Admission now = Admission::of(listener);
  if (!now.listens) return false;
  Admission sound = now;
  sound.filtered = sound.locked = sound.blocks = false;
  return seen_.try_emplace(listener, sound).first->second == now;
}

// bind(2) fails with EINVAL if the socket is still bound, which is fine.
Result<> DeafListeners::repair(int listener, const Address& address) const {
  if (is_blocking(listener)) {
    if (!make_private(listener)) return last_system_error();
    ::shutdown(listener, SHUT_RD);  // wakes the processes that wait in accept(2)
  }
  if (::bind(listener, address.data(), address.size()) != 0 && errno != EINVAL) {
    return last_system_error();
  }
  const auto seen = seen_.find(listener);
  const bool known = seen != seen_.end();
  const int backlog = known ? static_cast<int>(seen->second.backlog) : SOMAXCONN;
  if (::listen(listener, backlog) != 0) return last_system_error();
  Socket::accept_new(listener);
  const bool as_before = !known || Admission::of(listener) == seen->second;
  return as_before ? Result<>{} : make_error_code(std::errc::operation_not_permitted);
}

}  // namespace reactor::prefork
