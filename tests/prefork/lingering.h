// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "reactor/net/socket.h"

namespace reactor::prefork {

// A TCP socket whose last close(2) blocks for an hour (SO_LINGER), because its peer reads nothing.
struct Lingering {
  Lingering() {
    const Socket listener = Socket::listen(Address::loopback(0), {}).value();
    socket = Socket::connect(listener.local().value()).value().release();
    pollfd writable{socket.get(), POLLOUT, 0};
    EXPECT_EQ(::poll(&writable, 1, 5000), 1);
    peer = Socket::accept(listener.fd()).value().release();
    const std::vector<std::byte> much(1 << 20);
    while (::write(socket.get(), much.data(), much.size()) > 0) {
    }
    const linger hour{1, 3600};
    EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &hour, sizeof hour), 0);
  }

  UniqueFd socket, peer;
};

}  // namespace reactor::prefork
