// SPDX-License-Identifier: MIT
// This header has the Extras of Stream, and the inline functions that its source files share.
// Private to those files.
#pragma once

#include <cstdint>

#include "reactor/loop/loop.h"
#include "reactor/net/internal/net_context.h"
#include "reactor/net/internal/opening_queue.h"
#include "reactor/net/stream/internal/deadlines.h"
#include "reactor/net/stream/internal/wire.h"
#include "reactor/net/stream/internal/write_queue.h"
#include "reactor/net/stream/stream.h"
#include "reactor/net/transport.h"

namespace reactor {

// Roughly the most bytes of the queue that a turn writes, so that sending files to a fast peer does
// not keep others waiting (G10).
inline constexpr std::size_t kWriteTurn = 512 * 1024;

// Extras has the members that only few Streams need. A Stream with Extras moves its bytes through
// the Wire in them.
struct Stream::Extras {
  // A call of the transport's open() that waits for its turn in the loop's OpeningQueue.
  struct OpeningStep final : OpeningQueue::Step {
    void run() override { stream->continue_opening(); }
    Stream* stream = nullptr;
  };

  // Stops and releases everything here, because the Stream has ended.
  void end() {
    if (again) again.stop();
    step.cancel();
    if (wire.transport() != nullptr) wire.transport()->release();
  }

  Wire wire;
  Deferred again;  // reads input that the transport holds, of which the poller knows nothing
  OpeningStep step;
  bool opening = false;  // the transport's handshake has begun, and on_open() has not been called
  bool likely_readable = false;  // start() said so, or an event has come since
  bool ended_writing = false;    // Transport::end_writing() is done

  Deadlines deadlines;
  bool read_waits = false, write_waits = false;  // the rate allows nothing now
};

inline Stream::Alive Stream::after_callback(NetContext& context) {
  context.active = nullptr;
  context.close_batch();
  if (context.batch_used == 0 && !has(kClosing | kShutdown)) [[likely]]
    return Alive::yes;
  return flush_batch();
}

// Runs a piece of user code. If it throws, the Stream is put in order before the exception leaves
// this function. If the Stream still exists afterwards, NetContext::active still names it.
template <class Call>
Stream::Alive Stream::run(Call&& callback) {
  NetContext& context = *context_;
  context.active = this;
  try {
    callback();
  } catch (...) {
    if (context.active == this) after_exception();
    context.abandoned = false;
    throw;
  }
  if (context.active != this) [[unlikely]] {
    context.abandoned = false;
    return Alive::no;
  }
  return Alive::yes;
}

// Runs a piece of user code, and then carries out the writes and the close that it asked for.
template <class Call>
Stream::Alive Stream::call(Call&& callback) {
  NetContext& context = *context_;
  return run(callback) == Alive::yes ? after_callback(context) : Alive::no;
}

// Runs a call of the transport. A transport, or user code in it such as the choice of a
// certificate, may throw: the connection fails then, because bytes may be lost.
template <class Call>
IoResult Stream::ask_transport(Call&& call) {
  const NetContext::NoCallbacks guard(*context_);
  try {
    return call();
  } catch (...) {
    fail(std::make_error_code(std::errc::operation_canceled));
    throw;
  }
}

// Calls `second` after `first`, even if `first` throws.
template <class First, class Second>
void call_both(First&& first, Second&& second) {
  try {
    first();
  } catch (...) {
    second();
    throw;
  }
  second();
}

// Restarts the idle timeout of a Stream without Extras. This only stores the later deadline: the
// timer wheel looks at it when the earlier one passes.
inline void Stream::touch_plainly(TimePoint now) noexcept {
  if (idle_ms_ == 0 || has(kFixedDeadline | kQueued | kExtras)) return;
  postpone_lazily(now + std::chrono::milliseconds(idle_ms_));
}

}  // namespace reactor
