// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <variant>

#include "reactor/net/address.h"

namespace reactor::prefork {

// A stream socket that listens already, under this number, as the parent process left it. run()
// owns it from then on.
struct InheritedSocket {
  int fd = -1;
  friend bool operator==(const InheritedSocket&, const InheritedSocket&) = default;
};

// All the sockets that systemd, or what else speaks LISTEN_FDS, passed; one or more
// (sd_listen_fds(3), systemd.socket(5)).
struct SystemdSockets {
  friend bool operator==(const SystemdSockets&, const SystemdSockets&) = default;
};

// Where to listen: an address to bind, or what is there already. Compares by content.
using Bind = std::variant<Address, InheritedSocket, SystemdSockets>;

// As Address::to_string(), `fd:N` or `systemd`.
[[nodiscard]] inline std::string to_string(const Bind& bind) {
  if (const auto* address = std::get_if<Address>(&bind)) return address->to_string();
  if (const auto* socket = std::get_if<InheritedSocket>(&bind)) {
    return "fd:" + std::to_string(socket->fd);
  }
  return "systemd";
}

}  // namespace reactor::prefork
