// SPDX-License-Identifier: MIT
// StreamState: what lies behind a coro::Stream, the handler of its reactor::Stream. Whoever reads
// lends the kernel its own buffer; octets that come while nobody reads, or behind what was asked
// for, go into a bounded buffer, and then reading pauses until somebody reads again.
//
// It belongs to its coro::Stream; without one it closes the connection, and goes when that is done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "reactor/base/byte_buffer.h"
#include "reactor/coro/context.h"
#include "reactor/net/stream.h"
#include "reactor/net/transport.h"

namespace reactor::coro {

class StreamState;

// Told of a connection's course; a server.
class StreamWatcher {
 public:
  // It is open, inside its first callback: a coro::Stream can be made of it. Until then it has
  // none, and if it ends this is never called.
  virtual void on_stream_open(StreamState& state) = 0;
  // It is closed, and the coro::Stream is gone: so is the state, on return.
  virtual void on_stream_gone() noexcept = 0;

 protected:
  ~StreamWatcher() = default;
};

// A Waiter of which only the handle is kept, until it is woken: what is done at once, or resumed by
// the loop, is spared the rest.
class LateWaiter {
 public:
  // NOLINTNEXTLINE(modernize-use-equals-default): that would be deleted, for the union's sake
  LateWaiter() noexcept {}
  LateWaiter(LateWaiter&&) noexcept {}  // only before it waits
  LateWaiter& operator=(LateWaiter&&) = delete;
  // NOLINTNEXTLINE(modernize-use-equals-default): likewise
  ~LateWaiter() {}  // its owner looks at waits()

  [[nodiscard]] bool waits() const noexcept { return (course_ & kWaits) != 0; }
  [[nodiscard]] bool woken() const noexcept { return (course_ & kWoken) != 0; }

 protected:
  // How it went so far, in one octet; 0: what was asked for is done.
  enum Course : std::uint8_t {
    kTooLong = 1,        // Errc::too_long
    kUnexpectedEnd = 2,  // Errc::unexpected_end
    kStreamFailed = 3,   // the stream's error, or its end
    kCanceled = 4,       // std::errc::operation_canceled
    kFailure = 7,        // one of these
    kPending = 1 << 3,   // the call could not do all of it
    kFlush = 1 << 4,     // and is a flush
    kWaits = 1 << 5,     // until it goes on, or is destroyed
    kWoken = 1 << 6,     // waiter_ is the live one; it still waits
  };

  void suspend(std::coroutine_handle<> coroutine) noexcept {
    coroutine_ = coroutine;
    course_ |= kWaits;
  }
  // As Waiter's.
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
  // It waits no more.
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

// Who waits to read; see Stream.
class Reader : public LateWaiter {
 public:
  enum class Want : std::uint8_t {
    some,       // what there is, into `target`
    exactly,    // `target` full
    view,       // what there is, a view
    delimiter,  // a view up to and with a delimiter
    line,       // the same with a line feed; at the end also without
    all,        // a view of all up to the end
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
  // For await_resume(): who was woken waits no more, though the awaiter may live on.
  [[nodiscard]] bool went_wrong() noexcept { return course_ != 0 && settle(); }
  [[nodiscard]] std::error_code error() const noexcept;
  [[nodiscard]] Result<std::size_t> count() noexcept {
    if (went_wrong()) [[unlikely]]
      return error();
    return count_;
  }
  // For Want::some, the shortest way.
  inline void wait_for_any() noexcept;

  Want want_;
  StreamState* state_;
  std::span<std::byte> target_;  // what is left to fill
  std::size_t count_ = 0;        // octets that were put there, or of the view

 private:
  friend class StreamState;
  void wait() noexcept;
  void leave() noexcept;
  [[nodiscard]] bool settle() noexcept;
};

// One that gets a view of the state's buffer.
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

// Who writes, at the call, and waits for what could not be done then. `bytes` beyond the high-water
// mark stay the caller's until that is done.
class Writer : public LateWaiter {
 public:
  inline Writer(StreamState& state, std::span<const std::byte> bytes);
  // A flush.
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

  // Where it is pending; else nothing of it is set.
  struct Rest {
    StreamState* state;  // null where the coro::Stream was destroyed meanwhile
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

  // Before start(). Null: the socket.
  void set_transport(std::unique_ptr<Transport> transport);
  // Begins to read; see reactor::Stream::start(). *this may be gone afterwards.
  void start(bool likely_readable) { stream.start(likely_readable); }
  void close() {
    mark(kFinished);
    stream.close();
  }
  // See Stream::detach().
  [[nodiscard]] Result<Socket> detach();
  // The coro::Stream is gone.
  void abandon() noexcept;
  // The server is, with its options.
  void forget_watcher() noexcept;
  // No more than what is under way: see Stream::draining().
  void drain() noexcept;
  [[nodiscard]] bool draining() const noexcept { return (marks_ & kDraining) != 0; }
  // Of a connection that has ended.
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

  // What a view of `count` octets shows.
  [[nodiscard]] std::string_view text(std::size_t count) const noexcept;

  reactor::Stream stream;

 private:
  friend class Reader;
  friend class Writer;

  // Reasons to look twice before waiting for octets.
  enum Mark : std::uint16_t {
    kInput = 1 << 0,      // octets in the buffer
    kViewed = 1 << 1,     // of which some are shown: the buffer stays as it is until the next read
    kPaused = 1 << 2,     // reading
    kEnded = 1 << 3,      // the peer sends no more
    kClosed = 1 << 4,     // on_close was called
    kDraining = 1 << 5,   // the server goes away
    kAbandoned = 1 << 6,  // nobody has it, or nobody has it yet
    kFinished = 1 << 7,   // close() was called
    kOpening = 1 << 8,    // the transport shakes hands
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

  // Whether it goes on without its owner until all is sent.
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
  // Who waits to read, or was woken.
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
  Reader* filler_ = nullptr;  // who waits for anything, in its own buffer
  Reader* reader_ = nullptr;  // any other, and who was woken; never both
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
    wait();  // which says that two read one stream
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
