// SPDX-License-Identifier: MIT
// ReadCall, ViewCall and WriteCall describe a read or write of a coroutine to the StreamState: what
// is wanted, how much is done, and which coroutine waits. The awaiters (stream_awaiters.h) are
// built on them. Programs do not need this header.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "reactor/coro/coro_context.h"

namespace reactor::coro {

class StreamState;

// LateWaiter does the work of a Waiter, but keeps only the coroutine handle until it is woken. A
// call that is done without waiting, or that the loop resumes, never fills in the other members of
// a Waiter.
class LateWaiter {
 public:
  // The state of the call, in one byte. 0: done without error.
  enum Course : std::uint8_t {
    kTooLong = 1,        // Errc::too_long
    kUnexpectedEnd = 2,  // Errc::unexpected_end
    kStreamFailed = 3,   // the stream failed or ended
    kCanceled = 4,       // std::errc::operation_canceled
    kFailure = 7,        // mask of the four above
    kPending = 1 << 3,   // begin() was called, so `rest` is set
    kFlush = 1 << 4,     // the call is a flush
    kWaits = 1 << 5,     // set until the coroutine resumes or is destroyed
    kWoken = 1 << 6,     // waiter_ is the union's live member; kWaits stays set
  };

  // NOLINTNEXTLINE(modernize-use-equals-default): the union would delete it
  LateWaiter() noexcept {}
  LateWaiter(LateWaiter&&) noexcept {}  // allowed only before it waits
  LateWaiter& operator=(LateWaiter&&) = delete;
  // NOLINTNEXTLINE(modernize-use-equals-default): the same
  ~LateWaiter() {}  // the awaiter calls forget() first if waits()

  [[nodiscard]] bool waits() const noexcept { return (course & kWaits) != 0; }
  [[nodiscard]] bool woken() const noexcept { return (course & kWoken) != 0; }
  [[nodiscard]] bool failed() const noexcept { return (course & kFailure) != 0; }
  [[nodiscard]] Course failure() const noexcept { return static_cast<Course>(course & kFailure); }
  void fail(Course reason) noexcept {
    course = static_cast<std::uint8_t>((course & ~kFailure) | reason);
  }

  void suspend(std::coroutine_handle<> coroutine) noexcept {
    coroutine_ = coroutine;
    course |= kWaits;
  }
  // resume() and wake() do what Waiter's do.
  void resume() {
    course &= kFailure;
    coroutine_.resume();
  }
  void wake(Context& context) noexcept {
    if (woken()) return;
    const std::coroutine_handle<> coroutine = coroutine_;
    std::construct_at(&waiter_)->suspend(context, coroutine);
    waiter_.wake();
    course |= kWoken;
  }
  // Ends the wait.
  void forget() noexcept {
    if (woken()) std::destroy_at(&waiter_);
    course &= kFailure;
  }

 private:
  union {
    std::coroutine_handle<> coroutine_;
    Waiter waiter_;
  };

 public:
  std::uint8_t course = 0;  // bits of Course; last, so that derived members follow it closely
};

// ReadCall is one read.
struct ReadCall : LateWaiter {
  enum class Want : std::uint8_t {
    some,       // the available bytes, into `target`
    exactly,    // `target` filled
    view,       // a view of the available bytes
    delimiter,  // a view up to and including a delimiter
    line,       // the same for a line feed; also the rest at the end
    all,        // a view of everything up to the end
  };

  ReadCall(StreamState& stream, Want wanted, std::span<std::byte> into) noexcept
      : want(wanted), state(&stream), target(into) {}

  Want want;
  StreamState* state;           // null if the coro::Stream was destroyed meanwhile
  std::span<std::byte> target;  // the part still to fill
  std::size_t count = 0;        // bytes put into the target, or in the view
};

// ViewCall is a read that returns a view of the state's buffer.
struct ViewCall : ReadCall {
  ViewCall(StreamState& stream, Want wanted, std::string_view end, std::size_t most) noexcept
      : ReadCall(stream, wanted, {}), delimiter(end), max(most) {}

  std::string_view delimiter;
  std::size_t max;
  std::size_t scanned = 0;  // bytes of the buffer that were searched
};

// WriteCall is a write or a flush. Bytes beyond the high-water mark stay in the caller's memory
// until the write is done.
struct WriteCall : LateWaiter {
  // NOLINTNEXTLINE(modernize-use-equals-default): the union would delete it
  WriteCall() noexcept {}
  WriteCall(WriteCall&& other) noexcept {
    course = other.course;
    if (course != 0) rest = other.rest;
  }

  [[nodiscard]] bool flushes() const noexcept { return (course & kFlush) != 0; }

  // Set only if `course` is not 0.
  struct Rest {
    StreamState* state;  // null if the coro::Stream was destroyed meanwhile
    std::span<const std::byte> bytes;
  };
  union {
    Rest rest;
  };
};

}  // namespace reactor::coro
