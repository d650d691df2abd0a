// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <variant>

#include "reactor/net/endpoint.h"

namespace reactor::prefork {

// The number of a descriptor that the parent process left open: a stream socket that listens
// already, or a datagram socket that is bound. run() owns it from then on.
struct InheritedSocket {
  int fd = -1;
  friend bool operator==(const InheritedSocket&, const InheritedSocket&) = default;
};

// All the sockets, one or more, that were passed by systemd or by another program that sets
// LISTEN_FDS (sd_listen_fds(3), systemd.socket(5)).
struct SystemdSockets {
  friend bool operator==(const SystemdSockets&, const SystemdSockets&) = default;
};

// An address to bind, or sockets that exist already. Two Binds are equal if their contents are
// equal. An Address that is assigned to a Bind becomes an Endpoint for streams.
using Bind = std::variant<Endpoint, InheritedSocket, SystemdSockets>;

// Returns Endpoint::to_string(), `fd:N` or `systemd`.
[[nodiscard]] inline std::string to_string(const Bind& bind) {
  if (const auto* address = std::get_if<Endpoint>(&bind)) return address->to_string();
  if (const auto* socket = std::get_if<InheritedSocket>(&bind)) {
    return "fd:" + std::to_string(socket->fd);
  }
  return "systemd";
}

}  // namespace reactor::prefork
