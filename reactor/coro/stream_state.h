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

namespace reactor::coro {

class StreamState;

// Told of a connection's course; a server.
class StreamWatcher {
 public:
  // It is open, inside its first callback.
  virtual void on_stream_open(StreamState& state) = 0;
  // It is closed, and the coro::Stream is gone: so is the state, on return.
  virtual void on_stream_gone() noexcept = 0;

 protected:
  ~StreamWatcher() = default;
};

// A Waiter that is made when it has to wait: what is done at once is spared it.
class LateWaiter {
 public:
  LateWaiter() noexcept {}
  LateWaiter(LateWaiter&&) noexcept {}  // only before it waits
  LateWaiter& operator=(LateWaiter&&) = delete;
  ~LateWaiter() {}  // its owner looks at waits()

  [[nodiscard]] bool waits() const noexcept { return waits_; }
  [[nodiscard]] bool woken() const noexcept { return woken_; }

 protected:
  void suspend(Context& context, std::coroutine_handle<> coroutine) noexcept {
    std::construct_at(&waiter_)->suspend(context, coroutine);
    waits_ = true;
  }
  void forget() noexcept {
    waits_ = false;
    std::destroy_at(&waiter_);
  }
  // As Waiter's. After wake() it still waits().
  void resume() {
    waits_ = false;
    waiter_.resume();
  }
  void wake() noexcept {
    woken_ = true;
    waiter_.wake();
  }

 private:
  union {
    Waiter waiter_;
  };
  bool waits_ = false;
  bool woken_ = false;
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
      : state_(&state), target_(target), want_(want) {}
  Reader(Reader&&) noexcept = default;
  ~Reader() {
    if (waits()) leave();
  }

  [[nodiscard]] inline bool await_ready();
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    begin(coroutine);
  }

 protected:
  enum class Failure : std::uint8_t { none, too_long, unexpected_end, of_stream, canceled };

  [[nodiscard]] std::error_code error() const noexcept;

  StreamState* state_;
  std::span<std::byte> target_;  // what is left to fill
  std::size_t count_ = 0;        // octets that were put there, or of the view
  Want want_;
  Failure failure_ = Failure::none;

 private:
  friend class StreamState;
  inline void begin(std::coroutine_handle<> coroutine) noexcept;
  void leave() noexcept;
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

// Who waits to have written. `bytes` beyond the high-water mark stay the caller's until then.
class Writer : public LateWaiter {
 public:
  Writer(StreamState& state, std::span<const std::byte> bytes, bool flush) noexcept
      : state_(&state), bytes_(bytes), flush_(flush) {}
  Writer(Writer&&) noexcept = default;
  ~Writer() {
    if (waits()) leave();
  }

  [[nodiscard]] inline bool await_ready();
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    begin(coroutine);
  }
  inline Result<> await_resume() const noexcept;

 private:
  friend class StreamState;
  void begin(std::coroutine_handle<> coroutine) noexcept;
  void leave() noexcept;
  [[nodiscard]] std::error_code outcome() const noexcept;

  StreamState* state_;  // null where the coro::Stream was destroyed meanwhile
  std::span<const std::byte> bytes_;
  bool flush_;
};

class StreamState final : private StreamHandler, private Resident {
 public:
  StreamState(Loop& loop, Socket socket, const StreamOptions& options, StreamWatcher* watcher,
              SourceLocation where);
  ~StreamState();

  [[nodiscard]] static const StreamOptions& default_options() noexcept;

  // Begins to read; see reactor::Stream::start(). *this may be gone afterwards.
  void start(bool likely_readable) { stream.start(likely_readable); }
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
  enum Mark : std::uint8_t {
    kInput = 1 << 0,     // octets in the buffer
    kViewed = 1 << 1,    // of which some were shown, and go at the next read
    kPaused = 1 << 2,    // reading
    kEnded = 1 << 3,     // the peer sends no more
    kClosed = 1 << 4,    // on_close was called
    kDraining = 1 << 5,  // the server goes away
    kAbandoned = 1 << 6,
  };

  std::span<std::byte> read_buffer(reactor::Stream& stream) override;
  void on_open(reactor::Stream& stream) override;
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override;
  void on_end(reactor::Stream& stream) override;
  void on_drain(reactor::Stream& stream) override;
  void on_flushed(reactor::Stream& stream) override;
  void on_shutdown(reactor::Stream& stream) override;
  void on_close(reactor::Stream& stream, std::error_code error) noexcept override;
  void on_loop_end() noexcept override;

  [[nodiscard]] bool marked(unsigned marks) const noexcept { return (marks_ & marks) != 0; }
  void mark(unsigned marks) noexcept { marks_ = static_cast<std::uint8_t>(marks_ | marks); }
  void unmark(unsigned marks) noexcept { marks_ = static_cast<std::uint8_t>(marks_ & ~marks); }

  [[nodiscard]] bool prepare(Reader& reader);
  [[nodiscard]] bool satisfied(Reader& reader);
  [[nodiscard]] bool found(Viewer& viewer);
  void copy_out(Reader& reader);
  void finish_at_end(Reader& reader);
  [[nodiscard]] bool idle(const Reader& reader) const noexcept;
  void keep(std::span<std::byte> bytes);
  void wait_for(Reader& reader) noexcept;
  void resume_reader();
  void wake_reader() noexcept;
  [[nodiscard]] bool write(Writer& writer);
  [[nodiscard]] bool pump(Writer& writer);
  [[nodiscard]] bool writer_waits(bool flush) const noexcept;
  void resume_writer();
  void wake_writer() noexcept;

  Context* context_;          // null after the loop's end
  Reader* filler_ = nullptr;  // who waits for octets in its own buffer
  Reader* reader_ = nullptr;  // who waits, the same or one that gets a view, or was woken
  std::uint8_t marks_ = 0;
  Writer* writer_ = nullptr;
  StreamWatcher* watcher_;
  std::unique_ptr<ByteBuffer> input_;
  std::size_t viewed_ = 0;
  std::error_code error_;
};

inline bool Reader::await_ready() { return state_->marks_ != 0 && state_->prepare(*this); }

inline void Reader::begin(std::coroutine_handle<> coroutine) noexcept {
  suspend(*state_->context_, coroutine);
  if (state_->reader_ != nullptr || want_ != Want::some) [[unlikely]] {
    state_->wait_for(*this);
    return;
  }
  state_->reader_ = state_->filler_ = this;
}

inline bool Writer::await_ready() {
  constexpr std::size_t kAtOnce = 16 * 1024;
  if (flush_ || bytes_.size() > kAtOnce || state_->marks_ != 0) [[unlikely]]
    return state_->write(*this);
  state_->stream.write(bytes_);
  bytes_ = {};
  return state_->stream.writable();
}

inline Result<> Writer::await_resume() const noexcept {
  if (state_ != nullptr && !state_->marked(StreamState::kClosed)) [[likely]]
    return {};
  return outcome();
}

}  // namespace reactor::coro
