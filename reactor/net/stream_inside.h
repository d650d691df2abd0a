// SPDX-License-Identifier: MIT
// What the files of Stream share. Private to them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "reactor/base/byte_buffer.h"
#include "reactor/loop/loop.h"
#include "reactor/net/context.h"
#include "reactor/net/opening_queue.h"
#include "reactor/net/rate_limit.h"
#include "reactor/net/stream.h"
#include "reactor/net/transport.h"

namespace reactor {

// What few Streams have. Where there is one, octets are moved by read_slowly() and send_slowly().
struct Stream::Extras {
  static constexpr TimePoint kNever = TimePoint::max();
  // Octets of files in a turn: a fast peer keeps nobody else waiting (G10).
  static constexpr std::size_t kTurn = 512 * 1024;

  // A call of the transport's open() that waits for its turn.
  struct OpeningStep final : OpeningQueue::Step {
    void run() override { stream->continue_opening(); }
    Stream* stream = nullptr;
  };

  // A part of a file that waits to be sent.
  struct Piece {
    std::unique_ptr<ByteBuffer> before;  // to be sent first; may be null
    UniqueFd file;
    std::uint64_t offset, left;
    bool copied = false;  // sendfile(2) can't do it
  };

  // A time-out that runs while something is waited for.
  struct Waiting {
    Duration timeout{};  // 0: none
    TimePoint due = kNever;

    void watch(bool waits, TimePoint now) noexcept {
      if (!waits || timeout <= Duration::zero()) {
        due = kNever;
      } else if (due == kNever) {
        due = saturating_add(now, timeout);
      }
    }
    // It came; watch() says what is next.
    void moved() noexcept { due = kNever; }
  };

  // What the Stream's own node has to watch.
  [[nodiscard]] Duration write_timeout(const StreamOptions& options) const noexcept {
    return writing.timeout > Duration::zero() ? Duration::zero() : options.write_timeout;
  }
  [[nodiscard]] Interest read_needs() const noexcept {
    return transport == nullptr ? Interest::read : transport->read_needs();
  }
  [[nodiscard]] Interest write_needs() const noexcept {
    return transport == nullptr ? Interest::write : transport->write_needs();
  }
  // The Stream has ended: nothing of this happens any more.
  void end() {
    if (again) again.stop();
    step.cancel();
    if (timer) timer.stop();
    files.clear();
    queued_before_files = 0;
    if (transport != nullptr) transport->release();
  }

  std::unique_ptr<Transport> transport;  // null: the socket
  Deferred again;                        // reads input that the poller knows nothing of
  OpeningStep step;
  bool opening = false;          // by the transport; on_open() is not called yet
  bool likely_readable = false;  // as start() said, or an event came since
  bool ended_writing = false;    // by the transport

  std::deque<Piece> files;  // with what is to be sent before each; the queue comes after all
  std::size_t queued_before_files = 0;  // octets, in all of them

  Timer timer;  // for the earliest of these
  TimePoint timer_at = kNever;
  Waiting reading, writing;
  TimePoint total_due = kNever;
  RateLimit read_rate, write_rate;
  bool read_waits = false, write_waits = false;  // for the rate

  std::uint64_t bytes_read = 0, bytes_written = 0;
};

inline Stream::Alive Stream::after_callback(NetContext& context) {
  context.active = nullptr;
  context.close_batch();
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
    if (context.active == this) after_exception();
    context.abandoned = false;
    throw;
  }
  if (context.active != this) [[unlikely]] {
    context.abandoned = false;
    return Alive::no;
  }
  return after_callback(context);
}

// A later deadline is a store; the wheel looks at it when the earlier one passes.
inline void Stream::touch(TimePoint now) noexcept {
  if (idle_ms_ == 0 || has(kFixedDeadline | kQueued)) return;
  postpone_lazily(now + std::chrono::milliseconds(idle_ms_));
}

}  // namespace reactor
