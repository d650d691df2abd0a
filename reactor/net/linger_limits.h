// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "reactor/base/clock.h"

namespace reactor {

// How long a closed connection is kept for a peer that is still sending. Many clients send a whole
// body before they read: they get the last answer only if all of that body is read and dropped, for
// closing earlier resets the connection (RFC 9112 section 9.6).
struct LingerLimits {
  // The longest wait for the next 4 KiB, so that a byte now and then does not keep the connection.
  // 0 or less: closed at once.
  Duration idle = std::chrono::seconds(2);
  // All of it.
  Duration time = std::chrono::seconds(30);
  // Bytes that are read and dropped. Reading stops behind them, so that the kernel holds the peer
  // back, and the connection is closed after `idle`: a peer that reads meanwhile has its answer.
  std::size_t bytes = 64 << 20;
};

}  // namespace reactor
