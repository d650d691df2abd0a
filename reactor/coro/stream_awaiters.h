// SPDX-License-Identifier: MIT
// The functions of coro::Stream return these awaitables. Each awaitable contains a ReadCall or
// another call of stream_calls.h, starts that call, and turns its outcome into the result. Programs
// do not need to name these types.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "reactor/base/result.h"
#include "reactor/coro/stream_calls.h"
#include "reactor/coro/stream_state.h"

namespace reactor::coro {

// Read is the common part of the awaiters of reads. `Call` is ReadCall or ViewCall.
template <class Call>
class Read {
 public:
  using Want = ReadCall::Want;

  template <class... Args>
  explicit Read(StreamState& state, Args... args) noexcept : call_(state, args...) {}
  Read(Read&&) noexcept = default;  // allowed only before it waits
  Read& operator=(Read&&) = delete;
  ~Read() {
    if (call_.waits()) StreamState::forget(call_);
  }

  [[nodiscard]] bool await_ready() { return call_.state->ready(call_); }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    call_.suspend(coroutine);
    call_.state->wait_for(call_);
  }

 protected:
  // Called by await_resume(). Returns whether the read failed. If the call still counts as waiting,
  // also ends the wait, because the awaiter may outlive the co_await.
  [[nodiscard]] bool went_wrong() noexcept {
    return call_.course != 0 && StreamState::settle(call_);
  }
  [[nodiscard]] std::error_code error() const noexcept { return StreamState::error_of(call_); }
  [[nodiscard]] Result<std::size_t> count() noexcept {
    if (went_wrong()) [[unlikely]]
      return error();
    return call_.count;
  }

  Call call_;
};

// Stream::read() returns this awaitable.
class ReadInto : public Read<ReadCall> {
 public:
  using Read::Read;
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    call_.suspend(coroutine);
    call_.state->wait_for_any(call_);
  }
  [[nodiscard]] Result<std::size_t> await_resume() noexcept { return count(); }
};

// Stream::read_exactly() returns this awaitable.
class ReadExactly : public Read<ReadCall> {
 public:
  using Read::Read;
  [[nodiscard]] bool await_ready() { return call_.target.empty() || Read::await_ready(); }
  [[nodiscard]] Result<std::size_t> await_resume() noexcept { return count(); }
};

// Stream::read_some() and read_all() return this awaitable.
class ReadView : public Read<ViewCall> {
 public:
  using Read::Read;
  [[nodiscard]] Result<std::string_view> await_resume() noexcept {
    if (went_wrong()) return error();
    return call_.state->text(call_.count);
  }
};

// Stream::read_until() and read_line() return this awaitable.
class ReadUntil : public Read<ViewCall> {
 public:
  using Read::Read;
  [[nodiscard]] Result<std::optional<std::string_view>> await_resume() noexcept;
};

// Stream::write() and flush() return this awaitable. The call itself writes as much as it can, and
// awaiting it writes the rest.
class Write {
 public:
  Write(StreamState& state, std::span<const std::byte> bytes) {
    if (!state.collects(bytes)) [[unlikely]]
      state.begin(call_, bytes);
  }
  // Makes a flush.
  explicit Write(StreamState& state) { state.begin(call_, {}, LateWaiter::kFlush); }
  Write(Write&&) noexcept = default;  // allowed only before it waits
  Write& operator=(Write&&) = delete;
  ~Write() {
    if (call_.waits()) StreamState::forget(call_);
  }

  [[nodiscard]] bool await_ready() { return call_.course == 0 || call_.rest.state->write(call_); }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    call_.suspend(coroutine);
    call_.rest.state->wait_for(call_);
  }
  Result<> await_resume() noexcept {
    if (call_.course == 0) [[likely]]
      return {};
    return StreamState::outcome_of(call_);
  }

 private:
  WriteCall call_;
};

}  // namespace reactor::coro
