// SPDX-License-Identifier: MIT
// StreamState is the implementation of a coro::Stream and the handler of its reactor::Stream. A
// waiting reader lends the kernel its own buffer. Bytes that no reader waits for, and bytes behind
// those that a reader wants, go into a bounded buffer. As soon as that buffer holds anything, the
// socket is not read again before the coroutine reads.
//
// A coro::Stream owns its StreamState. After the coro::Stream is gone, the StreamState closes the
// connection and deletes itself when that is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "reactor/base/byte_buffer.h"
#include "reactor/coro/coro_context.h"
#include "reactor/coro/stream_calls.h"
#include "reactor/net/stream/stream.h"
#include "reactor/net/transport.h"

namespace reactor::coro {

class StreamState;

// A StreamWatcher learns when a connection has opened and when it is gone. The server implements
// it.
class StreamWatcher {
 public:
  // Called when the connection is open, as its first callback: make a coro::Stream of `state` here.
  // Before this call there is no coro::Stream. If the connection ends before it is open, this
  // function is never called.
  virtual void on_stream_open(StreamState& state) = 0;
  // Called when the connection is closed and its coro::Stream is gone. The StreamState no longer
  // exists when this function returns.
  virtual void on_stream_gone() noexcept = 0;

 protected:
  ~StreamWatcher() = default;
};

class StreamState final : private StreamHandler, private Resident {
 public:
  StreamState(Loop& loop, Socket socket, const StreamOptions& options, StreamWatcher* watcher,
              SourceLocation where);
  ~StreamState();

  [[nodiscard]] static const StreamOptions& default_options() noexcept;

  // Call before start(). Null: no transport, the plain socket.
  void set_transport(std::unique_ptr<Transport> transport);
  // Begins to read; see reactor::Stream::start(). *this may be gone afterwards.
  void start(bool likely_readable) { stream.start(likely_readable); }
  void close() {
    mark(kFinished);
    stream.close();
  }
  // See Stream::detach().
  [[nodiscard]] Result<Socket> detach();
  // Called when the coro::Stream is destroyed.
  void abandon() noexcept;
  // Called when the server is destroyed, together with its options.
  void forget_watcher() noexcept;
  // Lets only those reads continue that have begun: see Stream::draining().
  void drain() noexcept;
  [[nodiscard]] bool draining() const noexcept { return (marks_ & kDraining) != 0; }
  // Returns the error that ended the connection, if one did.
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

  // Returns the first `count` bytes of the buffer, for a view.
  [[nodiscard]] std::string_view text(std::size_t count) const noexcept;

  reactor::Stream stream;

  // ---- For the awaiters. ----

  // Returns whether the read is done without waiting.
  [[nodiscard]] bool ready(ReadCall& call) { return marks_ != 0 && prepare(call); }
  // Makes the call wait. Aborts if another coroutine reads already.
  void wait_for(ReadCall& call) noexcept;
  // The fast path of wait_for() for Want::some.
  void wait_for_any(ReadCall& call) noexcept {
    if (filler_ != nullptr || reader_ != nullptr) [[unlikely]] {
      wait_for(call);  // aborts: two coroutines read one stream
    } else {
      filler_ = &call;
    }
  }
  // Ends the wait of a call whose coroutine is destroyed.
  static void forget(ReadCall& call) noexcept;
  // Ends the wait of a call whose coroutine runs again. Returns whether the call failed.
  [[nodiscard]] static bool settle(ReadCall& call) noexcept;
  [[nodiscard]] static std::error_code error_of(const ReadCall& call) noexcept;

  // The fast path of begin(). Returns false if begin() has to be called.
  [[nodiscard]] bool collects(std::span<const std::byte> bytes) {
    return marks_ == 0 && stream.collect(bytes) != nullptr;
  }
  // Begins a write, or a flush (kFlush).
  void begin(WriteCall& call, std::span<const std::byte> bytes, unsigned flush = 0);
  // Returns whether the write is done without waiting.
  [[nodiscard]] bool write(WriteCall& call);
  void wait_for(WriteCall& call) noexcept;
  static void forget(WriteCall& call) noexcept;
  [[nodiscard]] static std::error_code outcome_of(WriteCall& call) noexcept;

 private:
  // If any mark is set, a read or write must check the state before it does anything; if none is
  // set, it takes the fast path.
  enum Mark : std::uint16_t {
    kInput = 1 << 0,   // the buffer has bytes
    kViewed = 1 << 1,  // a view shows some of them: the buffer must not change until the next read
    kPaused = 1 << 2,  // reading from the socket is paused
    kEnded = 1 << 3,   // the peer sends no more
    kClosed = 1 << 4,  // on_close was called
    kDraining = 1 << 5,   // the server is shutting down
    kAbandoned = 1 << 6,  // no coro::Stream owns this, or none does yet
    kFinished = 1 << 7,   // close() was called
    kOpening = 1 << 8,    // the transport's handshake is under way
  };

  std::span<std::byte> read_buffer(reactor::Stream& stream) override;
  void on_open(reactor::Stream& stream) override;
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override;
  void on_end(reactor::Stream& stream) override;
  void on_drain(reactor::Stream& stream) override;
  void on_flushed(reactor::Stream& stream) override;
  void on_shutdown(reactor::Stream& stream) override;
  void on_close(reactor::Stream& stream, std::error_code error) noexcept override;
  void on_context_end() noexcept override;

  // Returns whether the connection continues without its owner until everything is sent.
  [[nodiscard]] bool lives_on() const noexcept;
  [[nodiscard]] bool marked(unsigned marks) const noexcept { return (marks_ & marks) != 0; }
  void mark(unsigned marks) noexcept { marks_ = static_cast<std::uint16_t>(marks_ | marks); }
  void unmark(unsigned marks) noexcept { marks_ = static_cast<std::uint16_t>(marks_ & ~marks); }

  [[nodiscard]] bool prepare(ReadCall& reader);
  [[nodiscard]] bool satisfied(ReadCall& reader);
  [[nodiscard]] bool found(ViewCall& viewer);
  void copy_out(ReadCall& reader);
  void finish_at_end(ReadCall& reader);
  [[nodiscard]] bool idle(const ReadCall& reader) const noexcept;
  [[nodiscard]] std::span<std::byte> put_off() noexcept;
  void fill(std::span<std::byte> bytes);
  void keep(std::span<std::byte> bytes);
  // Returns the reader that waits or was woken.
  [[nodiscard]] ReadCall* reader() const noexcept { return filler_ != nullptr ? filler_ : reader_; }
  void resume_reader();
  void wake_reader() noexcept;
  [[nodiscard]] bool flush();
  [[nodiscard]] bool pump(WriteCall& writer);
  [[nodiscard]] bool writer_waits(bool flush) const noexcept;
  void resume_writer();
  void wake_writer() noexcept;
  void finish_writer() noexcept;

  Context* context_;            // null after the loop's end
  ReadCall* filler_ = nullptr;  // waiting read(), which the kernel fills directly
  ReadCall* reader_ = nullptr;  // any other reader, or a woken one; at most one of the two is set
  std::uint16_t marks_ = 0;
  WriteCall* writer_ = nullptr;
  StreamWatcher* watcher_;
  std::unique_ptr<ByteBuffer> input_;
  std::size_t viewed_ = 0;
  std::error_code error_;
};

}  // namespace reactor::coro
