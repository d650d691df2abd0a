// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>

#include "reactor/base/clock.h"

namespace reactor {

// StreamOptions has the settings of a Stream. Many Streams can share one object, which must outlive
// them.
struct StreamOptions {
  std::size_t low_water = 16 * 1024;    // at this many queued bytes, paused reading continues
  std::size_t high_water = 64 * 1024;   // at this many queued bytes, reading pauses
  std::size_t queue_limit = 16 << 20;   // with more queued bytes, the Stream fails (queue_full)
  Duration idle_timeout = Duration{0};  // without a read or a write; 0: none. Precise to a tick
  Duration write_timeout = std::chrono::seconds(30);  // without progress while bytes are queued

  // The time that a closed connection waits for the next 4 KiB of a peer that is still sending.
  // Many clients send a whole body before they read. They get the last answer only if all of that
  // body is read and dropped, because closing earlier resets the connection (RFC 9112 section 9.6).
  // Less than 4 KiB does not extend the wait, so a byte now and then does not keep the connection
  // open. If this time is 0 or less, the connection is closed immediately.
  Duration linger_idle = std::chrono::seconds(2);
  // The longest time that a closed connection lingers in all.
  Duration linger_time = std::chrono::seconds(30);
  // The most bytes that are read and dropped. After that many, reading stops, so that the kernel
  // holds the peer back, and the connection is closed within `linger_idle`. Until then a peer that
  // reads can still get its answer.
  std::size_t linger_bytes = 64 << 20;
};

}  // namespace reactor
