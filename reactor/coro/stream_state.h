// SPDX-License-Identifier: MIT
// StreamState is the implementation of a coro::Stream and the handler of its reactor::Stream. A
// waiting reader lends the kernel its own buffer. Bytes that arrive while nobody reads, or that
// follow those asked for, go into a bounded buffer; reading from the socket then pauses until the
// next read.
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
#include "reactor/net/stream/stream.h"
#include "reactor/net/transport.h"

namespace reactor::coro {

class StreamState;

// Learns that a connection has opened and that it is gone. Implemented by the server.
class StreamWatcher {
 public:
  // The connection is open, and this is its first callback: make a coro::Stream of `state` here.
  // Before that, no coro::Stream exists. If the connection ends earlier, this is never called.
  virtual void on_stream_open(StreamState& state) = 0;
  // The connection is closed and its coro::Stream is gone. The state is gone when this returns.
  virtual void on_stream_gone() noexcept = 0;

 protected:
  ~StreamWatcher() = default;
};

// A Waiter that keeps only the coroutine handle until it is woken. A call that is done at once, or
// that the loop resumes, never pays for the rest.
class LateWaiter {
 public:
  // NOLINTNEXTLINE(modernize-use-equals-default): the union would delete it
  LateWaiter() noexcept {}
  LateWaiter(LateWaiter&&) noexcept {}  // allowed only before it waits
  LateWaiter& operator=(LateWaiter&&) = delete;
  // NOLINTNEXTLINE(modernize-use-equals-default): the same
  ~LateWaiter() {}  // the derived class destroys waiter_ if waits()

  [[nodiscard]] bool waits() const noexcept { return (course_ & kWaits) != 0; }
  [[nodiscard]] bool woken() const noexcept { return (course_ & kWoken) != 0; }

 protected:
  // The state of the call, in one byte. 0: done without error.
  enum Course : std::uint8_t {
    kTooLong = 1,        // Errc::too_long
    kUnexpectedEnd = 2,  // Errc::unexpected_end
    kStreamFailed = 3,   // the stream failed or ended
    kCanceled = 4,       // std::errc::operation_canceled
    kFailure = 7,        // mask of the four above
    kPending = 1 << 3,   // the call itself could not do all of it
    kFlush = 1 << 4,     // the call is a flush
    kWaits = 1 << 5,     // set until the coroutine resumes or is destroyed
    kWoken = 1 << 6,     // waiter_ is the union's live member; kWaits stays set
  };

  void suspend(std::coroutine_handle<> coroutine) noexcept {
    coroutine_ = coroutine;
    course_ |= kWaits;
  }
  // resume() and wake() do what Waiter's do.
  void resume() {
    course_ &= kFailure;
    coroutine_.resume();
  }
  void wake(Context& context) noexcept {
    if (woken()) return;
    const std::coroutine_handle<> coroutine = coroutine_;
    std::construct_at(&waiter_)->suspend(context, coroutine);
    waiter_.wake();
    course_ |= kWoken;
  }
  // Ends the wait.
  void forget() noexcept {
    if (woken()) std::destroy_at(&waiter_);
    course_ &= kFailure;
  }
  [[nodiscard]] bool failed() const noexcept { return (course_ & kFailure) != 0; }
  void fail(Course reason) noexcept {
    course_ = static_cast<std::uint8_t>((course_ & ~kFailure) | reason);
  }

 private:
  union {
    std::coroutine_handle<> coroutine_;
    Waiter waiter_;
  };

 protected:
  std::uint8_t course_ = 0;
};

// The awaiter of a read; see coro::Stream.
class Reader : public LateWaiter {
 public:
  enum class Want : std::uint8_t {
    some,       // the available bytes, into `target`
    exactly,    // `target` filled
    view,       // a view of the available bytes
    delimiter,  // a view up to and including a delimiter
    line,       // the same for a line feed; also the rest at the end
    all,        // a view of everything up to the end
  };

  Reader(StreamState& state, Want want, std::span<std::byte> target = {}) noexcept
      : want_(want), state_(&state), target_(target) {}
  Reader(Reader&&) noexcept = default;
  ~Reader() {
    if (waits()) leave();
  }

  [[nodiscard]] inline bool await_ready();
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    wait();
  }

 protected:
  // For await_resume(): ends the wait, because the awaiter may live on, and returns whether the
  // read failed.
  [[nodiscard]] bool went_wrong() noexcept { return course_ != 0 && settle(); }
  [[nodiscard]] std::error_code error() const noexcept;
  [[nodiscard]] Result<std::size_t> count() noexcept {
    if (went_wrong()) [[unlikely]]
      return error();
    return count_;
  }
  // The fast path of wait() for Want::some.
  inline void wait_for_any() noexcept;

  Want want_;
  StreamState* state_;
  std::span<std::byte> target_;  // the part still to fill
  std::size_t count_ = 0;        // bytes put into the target, or in the view

 private:
  friend class StreamState;
  void wait() noexcept;
  void leave() noexcept;
  [[nodiscard]] bool settle() noexcept;
};

// A reader that returns a view of the state's buffer.
class Viewer : public Reader {
 public:
  Viewer(StreamState& state, Want want, std::string_view delimiter, std::size_t max) noexcept
      : Reader(state, want), delimiter_(delimiter), max_(max) {}

 private:
  friend class StreamState;
  std::string_view delimiter_;
  std::size_t max_;
  std::size_t scanned_ = 0;
};

// The awaiter of a write. The call writes at once and waits for the rest. Bytes beyond the
// high-water mark stay in the caller's memory until the write is done.
class Writer : public LateWaiter {
 public:
  inline Writer(StreamState& state, std::span<const std::byte> bytes);
  // Makes a flush.
  explicit Writer(StreamState& state) { begin(state, {}, kFlush); }
  inline Writer(Writer&& other) noexcept;
  ~Writer() {
    if (waits()) leave();
  }

  [[nodiscard]] bool await_ready() { return course_ == 0 || done_by_now(); }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(coroutine);
    wait();
  }
  Result<> await_resume() noexcept {
    if (course_ == 0) [[likely]]
      return {};
    return outcome();
  }

 private:
  friend class StreamState;
  [[nodiscard]] bool flushes() const noexcept { return (course_ & kFlush) != 0; }
  void begin(StreamState& state, std::span<const std::byte> bytes, unsigned flush = 0);
  [[nodiscard]] bool done_by_now();
  void wait() noexcept;
  void leave() noexcept;
  [[nodiscard]] std::error_code outcome() noexcept;

  // Set only if course_ is not 0.
  struct Rest {
    StreamState* state;  // null if the coro::Stream was destroyed meanwhile
    std::span<const std::byte> bytes;
  };
  union {
    Rest rest_;
  };
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
  // Lets only reads continue that have begun: see Stream::draining().
  void drain() noexcept;
  [[nodiscard]] bool draining() const noexcept { return (marks_ & kDraining) != 0; }
  // Returns the error that ended the connection, if one did.
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

  // Returns the first `count` bytes of the buffer, for a view.
  [[nodiscard]] std::string_view text(std::size_t count) const noexcept;

  reactor::Stream stream;

 private:
  friend class Reader;
  friend class Writer;

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

  [[nodiscard]] bool prepare(Reader& reader);
  [[nodiscard]] bool satisfied(Reader& reader);
  [[nodiscard]] bool found(Viewer& viewer);
  void copy_out(Reader& reader);
  void finish_at_end(Reader& reader);
  [[nodiscard]] bool idle(const Reader& reader) const noexcept;
  [[nodiscard]] std::span<std::byte> put_off() noexcept;
  void fill(std::span<std::byte> bytes);
  void keep(std::span<std::byte> bytes);
  // Returns the reader that waits or was woken.
  [[nodiscard]] Reader* reader() const noexcept { return filler_ != nullptr ? filler_ : reader_; }
  void resume_reader();
  void wake_reader() noexcept;
  [[nodiscard]] bool write(Writer& writer);
  [[nodiscard]] bool flush();
  [[nodiscard]] bool pump(Writer& writer);
  [[nodiscard]] bool writer_waits(bool flush) const noexcept;
  void resume_writer();
  void wake_writer() noexcept;
  void finish_writer() noexcept;

  Context* context_;          // null after the loop's end
  Reader* filler_ = nullptr;  // waiting read(), which the kernel fills directly
  Reader* reader_ = nullptr;  // any other reader, or a woken one; at most one of the two is set
  std::uint16_t marks_ = 0;
  Writer* writer_ = nullptr;
  StreamWatcher* watcher_;
  std::unique_ptr<ByteBuffer> input_;
  std::size_t viewed_ = 0;
  std::error_code error_;
};

inline bool Reader::await_ready() { return state_->marks_ != 0 && state_->prepare(*this); }

inline void Reader::wait_for_any() noexcept {
  if (state_->filler_ != nullptr || state_->reader_ != nullptr) [[unlikely]] {
    wait();  // fails its check: two coroutines read one stream
  } else {
    state_->filler_ = this;
  }
}

inline Writer::Writer(StreamState& state, std::span<const std::byte> bytes) {
  if (state.marks_ != 0 || state.stream.collect(bytes) == nullptr) [[unlikely]]
    begin(state, bytes);
}

inline Writer::Writer(Writer&& other) noexcept {
  course_ = other.course_;
  if (course_ != 0) rest_ = other.rest_;
}

}  // namespace reactor::coro
