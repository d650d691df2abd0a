// SPDX-License-Identifier: MIT
// What the files of Stream share. Private to them.
#pragma once

#include <memory>

#include "reactor/loop/loop.h"
#include "reactor/net/context.h"
#include "reactor/net/stream.h"
#include "reactor/net/transport.h"

namespace reactor {

// What few Streams have. Where there is one, octets are moved by read_slowly() and send_slowly().
struct Stream::Extras {
  std::unique_ptr<Transport> transport;  // null: the socket
  Deferred again;                        // reads input that the poller knows nothing of
  bool opening = false;                  // by the transport; on_open() is not called yet
  bool ended_writing = false;            // by the transport
};

inline Stream::Alive Stream::after_callback() {
  NetContext& context = *context_;
  context.active = nullptr;
  if (context.batch_used == 0 && !has(kClosing | kShutdown)) [[likely]]
    return Alive::yes;
  return flush_batch();
}

// Runs a piece of user code. An exception goes on its way after the Stream has been put in order.
template <class Call>
Stream::Alive Stream::call(Call&& callback) {
  NetContext& context = *context_;
  context.active = this;
  try {
    callback();
  } catch (...) {
    if (context.active == this) after_callback();
    throw;
  }
  if (context.active != this) [[unlikely]] {
    context.batch_used = 0;  // what a dead stream had collected
    return Alive::no;
  }
  return after_callback();
}

// A later deadline is a store; the wheel looks at it when the earlier one passes.
inline void Stream::touch(TimePoint now) noexcept {
  if (idle_ms_ == 0 || has(kFixedDeadline | kQueued)) return;
  postpone_lazily(now + std::chrono::milliseconds(idle_ms_));
}

}  // namespace reactor
