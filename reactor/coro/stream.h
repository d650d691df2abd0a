// SPDX-License-Identifier: MIT
// coro::Stream: a connected byte stream (TCP or unix) for coroutines.
//
//   while (auto line = (co_await stream.read_line(1024)).value()) {
//     (co_await stream.write(*line)).value();
//   }
//
// Errors: whatever ended the connection (std::errc::connection_reset, Errc::timed_out of its
// StreamOptions, ...) is what each call gives from then on, after the octets that came before.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/result.h"
#include "reactor/coro/stream_state.h"
#include "reactor/net/socket.h"
#include "reactor/net/transport.h"

namespace reactor::coro {

// See Stream::read().
class ReadInto : public Reader {
 public:
  using Reader::Reader;
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    wait_for_any();
  }
  [[nodiscard]] Result<std::size_t> await_resume() noexcept { return count(); }
};

// See Stream::read_exactly().
class ReadExactly : public Reader {
 public:
  using Reader::Reader;
  [[nodiscard]] bool await_ready() { return target_.empty() || Reader::await_ready(); }
  [[nodiscard]] Result<std::size_t> await_resume() noexcept { return count(); }
};

// See Stream::read_some() and read_all().
class ReadView : public Viewer {
 public:
  using Viewer::Viewer;
  [[nodiscard]] Result<std::string_view> await_resume() noexcept {
    if (went_wrong()) return error();
    return state_->text(count_);
  }
};

// See Stream::read_until() and read_line().
class ReadUntil : public Viewer {
 public:
  using Viewer::Viewer;
  [[nodiscard]] Result<std::optional<std::string_view>> await_resume() noexcept;
};

// Owns a connection; move-only. Destroying it closes the connection: what was written is still
// sent, in the background, and who waits for it gets operation_canceled. Destroying a task that
// waits in one of its calls leaves the connection as it is. What read_exactly() had put into its
// buffer by then is lost to the next read; of a write() a part was sent already, as a rule, behind
// which nothing sensible can follow.
//
// One coroutine may read while another writes; no two may do the same. A view that a call gives is
// valid until the next read begins, or the Stream is destroyed or detached, whatever arrives
// meanwhile. Input that comes while a view is out stays with the kernel. After that the view's
// bytes are poisoned in AddressSanitizer builds. An empty Stream (default-made, moved from) may
// only be assigned to or destroyed. Belongs to its loop's thread; it must not be awaited after its
// loop's end.
class Stream {
 public:
  Stream() noexcept = default;
  // Takes a connected socket. `options` outlive the connection. Throws std::bad_alloc.
  Stream(Loop& loop, Socket socket, const StreamOptions& options = default_options(),
         SourceLocation where = SourceLocation::current());
  // The same over a transport, such as tls::ClientContext::transport_for() gives: the first calls
  // wait until hands are shaken, and give the error where that fails. Destroyed before that, it
  // closes the connection at once. The context outlives the connection.
  Stream(Loop& loop, Socket socket, std::unique_ptr<Transport> transport,
         const StreamOptions& options = default_options(),
         SourceLocation where = SourceLocation::current());
  // For servers.
  explicit Stream(StreamState& state) noexcept : state_(&state) {}

  explicit operator bool() const noexcept { return state_ != nullptr; }

  // What there is, at least one octet, into `buffer` (not empty), which the kernel fills: 0
  // at the end.
  [[nodiscard]] ReadInto read(std::span<std::byte> buffer) noexcept {
    return {*state_, Reader::Want::some, buffer};
  }
  // All of `buffer`: its size, or 0 where the stream ended before. Errc::unexpected_end where it
  // ended in between: what came is at the start of `buffer`, and how much is not told; read() does.
  [[nodiscard]] ReadExactly read_exactly(std::span<std::byte> buffer) noexcept {
    return {*state_, Reader::Want::exactly, buffer};
  }
  // What there is, up to 4 KiB, as a view: empty at the end.
  [[nodiscard]] ReadView read_some() noexcept { return {*state_, Reader::Want::view, {}, 0}; }
  // All up to and with `delimiter` (not empty, the caller's until then); nothing at the end.
  // Errc::too_long where it is not among the first `max` octets, Errc::unexpected_end where the
  // stream ended before it: then nothing is lost, the next read gives it.
  [[nodiscard]] ReadUntil read_until(std::string_view delimiter, std::size_t max) noexcept {
    return {*state_, Reader::Want::delimiter, delimiter, max};
  }
  // A line of up to `max` octets, its end (CR LF or LF) included in that but not in the view;
  // nothing at the end. What precedes the end of the stream counts as a line. Errc::too_long as
  // above.
  [[nodiscard]] ReadUntil read_line(std::size_t max) noexcept {
    return {*state_, Reader::Want::line, "\n", max};
  }
  // All up to the end of the stream. Errc::too_long where that is more than `max` octets.
  [[nodiscard]] ReadView read_all(std::size_t max) noexcept {
    return {*state_, Reader::Want::all, {}, max};
  }

  // Sends `bytes` after what was written before: at the call, and what is left of it while it is
  // awaited. Small writes of one turn leave in one call. Waits only while more than
  // StreamOptions::high_water octets are queued, that is, while the peer does not read. What was
  // taken may be lost all the same where the connection fails later: flush() tells. Errors:
  // broken_pipe after shutdown(), close() or the end without an error. Throws std::bad_alloc.
  [[nodiscard]] Writer write(std::span<const std::byte> bytes) { return {*state_, bytes}; }
  [[nodiscard]] Writer write(std::string_view text) {
    return write(std::as_bytes(std::span(text)));
  }
  // Until the kernel has all that was written. Errors: broken_pipe after close() or the end without
  // an error.
  [[nodiscard]] Writer flush() { return Writer(*state_); }

  // Half-close: the peer reads what was written and then the end; reading goes on.
  void shutdown() { state_->stream.shutdown(); }
  // Sends what was written, then ends; reads give the end.
  void close() { state_->close(); }
  // Gives the socket back, non-blocking, and is empty then; who waits in a call gets
  // operation_canceled. Errors, with which all stays as it is: those of reactor::Stream::detach(),
  // and device_or_resource_busy also while octets are here that nobody has read.
  [[nodiscard]] Result<Socket> detach();

  // The server is going away (Server::drain()): a read that would wait for the first octet of
  // something gives the end; one that is under way goes on.
  [[nodiscard]] bool draining() const noexcept { return state_->draining(); }

  // As reactor::Stream's.
  [[nodiscard]] Result<Address> peer() const { return state_->stream.peer(); }
  [[nodiscard]] Result<Address> local() const { return state_->stream.local(); }
  // For its settings and counters; its handler is this Stream's, and so is its end.
  [[nodiscard]] reactor::Stream& transport() const noexcept { return state_->stream; }

  // Those of a StreamOptions that nobody changed.
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
