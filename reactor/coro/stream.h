// SPDX-License-Identifier: MIT
// coro::Stream is a connected byte stream (TCP or unix) for coroutines.
//
//   while (auto line = (co_await stream.read_line(1024)).value()) {
//     (co_await stream.write(*line)).value();
//   }
//
// If an error ended the connection (std::errc::connection_reset, Errc::timed_out of its
// StreamOptions, ...), each call returns this error from then on. Reads first return the bytes that
// arrived before the error.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/result.h"
#include "reactor/coro/stream_awaiters.h"
#include "reactor/coro/stream_state.h"
#include "reactor/net/socket.h"
#include "reactor/net/transport.h"

namespace reactor::coro {

// Stream owns a connection, and is move-only. Destroying it closes the connection: written bytes
// are still sent in the background, and a coroutine that waits in one of its calls gets
// operation_canceled.
//
// Destroying a task that waits in a call leaves the connection open. Bytes that read_exactly() had
// already put into its buffer are then lost. A cancelled write() may have sent a part of its bytes,
// so nothing sensible can be written after it.
//
// One coroutine may read while another writes. Two coroutines must not read at the same time, and
// two must not write. A view that a read returns is valid until the next read begins, or until the
// Stream is destroyed or detached; arriving bytes do not change it. While a view is valid, new
// input stays in the kernel. AddressSanitizer builds poison the bytes of an old view.
//
// An empty Stream (default-constructed or moved from) allows two operations: assigning to it, and
// destroying it. A Stream belongs to its loop's thread, and must not be awaited after the loop's
// end.
class Stream {
 public:
  Stream() noexcept = default;
  // Takes a connected socket. `options` must outlive the connection. Throws std::bad_alloc.
  Stream(Loop& loop, Socket socket, const StreamOptions& options = default_options(),
         SourceLocation where = SourceLocation::current());
  // Makes a Stream over a transport, such as the one that tls::ClientContext::transport_for()
  // returns. Calls before the end of the handshake wait for it. If the handshake fails, they return
  // its error. If the Stream is destroyed before the handshake is done, the connection is closed at
  // once. The transport's context must outlive the connection.
  Stream(Loop& loop, Socket socket, std::unique_ptr<Transport> transport,
         const StreamOptions& options = default_options(),
         SourceLocation where = SourceLocation::current());
  // For servers: takes over a StreamState.
  explicit Stream(StreamState& state) noexcept : state_(&state) {}

  explicit operator bool() const noexcept { return state_ != nullptr; }

  // Reads the available bytes, at least one, into `buffer`, which must not be empty. The kernel
  // fills it directly. Returns 0 at the end of the stream.
  [[nodiscard]] ReadInto read(std::span<std::byte> buffer) noexcept {
    return ReadInto(*state_, ReadCall::Want::some, buffer);
  }
  // Fills all of `buffer`. Returns its size, or 0 if the stream ended before the first byte. If the
  // stream ended later, returns Errc::unexpected_end: the bytes that arrived are at the start of
  // `buffer`, but their number is not known. If you need that number, use read().
  [[nodiscard]] ReadExactly read_exactly(std::span<std::byte> buffer) noexcept {
    return ReadExactly(*state_, ReadCall::Want::exactly, buffer);
  }
  // Returns a view of the available bytes, up to 4 KiB; empty at the end.
  [[nodiscard]] ReadView read_some() noexcept {
    return ReadView(*state_, ReadCall::Want::view, std::string_view(), std::size_t{0});
  }
  // Returns a view of the bytes up to and including `delimiter`, or nothing at the end. `delimiter`
  // is not empty and must live until the call is done. Errors: Errc::too_long if the delimiter is
  // not within the first `max` bytes; Errc::unexpected_end if the stream ended before a delimiter.
  // After either error the next read returns the same bytes.
  [[nodiscard]] ReadUntil read_until(std::string_view delimiter, std::size_t max) noexcept {
    return ReadUntil(*state_, ReadCall::Want::delimiter, delimiter, max);
  }
  // Returns a view of a line of up to `max` bytes, or nothing at the end. The line's end (CR LF or
  // LF) counts towards `max` but is not in the view. The last bytes of the stream count as a line
  // even without an end. Errors: Errc::too_long if the line does not end within `max` bytes.
  [[nodiscard]] ReadUntil read_line(std::size_t max) noexcept {
    return ReadUntil(*state_, ReadCall::Want::line, std::string_view("\n"), max);
  }
  // Returns a view of all bytes up to the end of the stream. Errors: Errc::too_long if there are
  // more than `max` bytes.
  [[nodiscard]] ReadView read_all(std::size_t max) noexcept {
    return ReadView(*state_, ReadCall::Want::all, std::string_view(), max);
  }

  // Sends `bytes` after all earlier writes. The call itself sends as much as it can, and awaiting
  // it sends the rest. Small writes of one turn are sent together in one system call. A write waits
  // only while more than StreamOptions::high_water bytes are queued because the peer does not read.
  // Bytes of a finished write can still be lost if the connection then fails; see flush(). Errors:
  // broken_pipe after shutdown() or close(), or if the connection ended without an error. Throws
  // std::bad_alloc.
  [[nodiscard]] Write write(std::span<const std::byte> bytes) { return {*state_, bytes}; }
  [[nodiscard]] Write write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  // Waits until the kernel has taken all written bytes. Errors: broken_pipe after close(), or if
  // the connection ended without an error.
  [[nodiscard]] Write flush() { return Write(*state_); }

  // Half-closes: the peer reads all written bytes and then the end. Reading still works.
  void shutdown() { state_->stream.shutdown(); }
  // Sends the written bytes, then ends the connection. Reads return the end.
  void close() { state_->close(); }
  // Returns the non-blocking socket and leaves this Stream empty. A coroutine that waits in a call
  // gets operation_canceled. Errors: those of reactor::Stream::detach(); device_or_resource_busy if
  // there are unread bytes. After an error nothing has changed.
  [[nodiscard]] Result<Socket> detach();

  // Returns whether the server is shutting down (Server::drain()). While it is, a read that would
  // wait for its first byte returns as if the stream had ended. A read that already has a part of
  // its bytes goes on waiting.
  [[nodiscard]] bool draining() const noexcept { return state_->draining(); }

  // These return the same as the functions of reactor::Stream.
  [[nodiscard]] Result<Address> peer() const { return state_->stream.peer(); }
  [[nodiscard]] Result<Address> local() const { return state_->stream.local(); }
  // Returns the underlying stream, for its settings and counters. Do not set its handler, and do
  // not close it.
  [[nodiscard]] reactor::Stream& transport() const noexcept { return state_->stream; }

  // Returns StreamOptions with their default values.
  [[nodiscard]] static const StreamOptions& default_options() noexcept {
    return StreamState::default_options();
  }

 private:
  struct Abandon {
    void operator()(StreamState* state) const noexcept { state->abandon(); }
  };
  std::unique_ptr<StreamState, Abandon> state_;
};

}  // namespace reactor::coro
