// SPDX-License-Identifier: MIT
#include "reactor/prefork/deaf_listener.h"

#include <poll.h>
#include <sys/socket.h>

#include "reactor/base/error.h"

namespace reactor::prefork {
namespace {

#if defined(POLLRDHUP)
constexpr short kShutDown = POLLRDHUP;  // a unix socket says no more than that
#else
constexpr short kShutDown = 0;
#endif

}  // namespace

std::vector<std::size_t> find_deaf(std::span<const int> listeners) {
  std::vector<pollfd> sockets;
  sockets.reserve(listeners.size());
  for (const int listener : listeners) sockets.push_back({listener, kShutDown, 0});
  std::vector<std::size_t> deaf;
  if (::poll(sockets.data(), static_cast<nfds_t>(sockets.size()), 0) <= 0) return deaf;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    if ((sockets[i].revents & (kShutDown | POLLHUP)) != 0) deaf.push_back(i);
  }
  return deaf;
}

// Bound still: EINVAL.
Result<> listen_again(int listener, const Address& address, int backlog) {
  if (::bind(listener, address.data(), address.size()) != 0 && errno != EINVAL) {
    return last_system_error();
  }
  if (::listen(listener, backlog) != 0) return last_system_error();
  return {};
}

}  // namespace reactor::prefork
