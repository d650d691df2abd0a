// SPDX-License-Identifier: MIT
// signal(), child_exit(), readable() and writable() wait for a signal, for the end of a child, or
// for a descriptor.
#pragma once

#include <sys/types.h>

#include "reactor/base/result.h"
#include "reactor/coro/coro_context.h"
#include "reactor/loop/loop.h"

namespace reactor::coro {

// signal() returns this awaitable.
class Signal : private Waiter {
 public:
  Signal(int number, SourceLocation where) noexcept : number_(number), where_(where) {}
  Signal(Signal&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> coroutine) {
    suspend(coroutine);
    return begin();
  }
  [[nodiscard]] Result<> await_resume() const noexcept { return error_; }

 private:
  [[nodiscard]] bool begin();

  int number_;
  SourceLocation where_;
  SignalWatcher watcher_;
  std::error_code error_;
};

// `(co_await signal(SIGINT)).value()` waits until this process gets the signal. The signal is
// watched only while it is awaited; before and after, its previous disposition applies. Errors:
// those of Loop::on_signal().
[[nodiscard]] inline Signal signal(int number,
                                   SourceLocation where = SourceLocation::current()) noexcept {
  return {number, where};
}

// child_exit() returns this awaitable.
class ChildExit : private Waiter {
 public:
  ChildExit(pid_t pid, SourceLocation where) noexcept : pid_(pid), where_(where) {}
  ChildExit(ChildExit&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> coroutine) {
    suspend(coroutine);
    return begin();
  }
  [[nodiscard]] ExitStatus await_resume() const noexcept { return status_; }

 private:
  [[nodiscard]] bool begin();

  pid_t pid_;
  SourceLocation where_;
  ChildWatcher watcher_;
  ExitStatus status_;
};

// `ExitStatus status = co_await child_exit(pid)` waits until that child of this process has ended,
// and reaps it. Errors, in status.error(): those of Loop::on_exit() and ExitStatus. If the task is
// destroyed before the child has ended, other code has to reap the child.
[[nodiscard]] inline ChildExit child_exit(
    pid_t pid, SourceLocation where = SourceLocation::current()) noexcept {
  return {pid, where};
}

// readable() and writable() return this awaitable.
class Readiness : private PollTarget, private Waiter {
 public:
  Readiness(int fd, Interest interest, SourceLocation where) noexcept
      : PollTarget(fd), interest_(interest), where_(where) {}
  Readiness(Readiness&& other) noexcept : Readiness(other.fd(), other.interest_, other.where_) {}
  ~Readiness() { end(); }

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> coroutine) {
    suspend(coroutine);
    return begin();
  }
  [[nodiscard]] Result<> await_resume() const noexcept { return error_; }

 private:
  [[nodiscard]] bool begin();
  void end() noexcept;
  void on_ready(Ready ready) override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

  Interest interest_;
  SourceLocation where_;
  std::error_code error_;
};

// `co_await readable(fd)` waits until a read of `fd` probably does not block; that is only a hint
// (G5). The caller keeps `fd`, which should be non-blocking and must stay open during the wait. A
// descriptor has at most one watcher at a time (G8). Errors: those of Loop::attach().
[[nodiscard]] inline Readiness readable(int fd,
                                        SourceLocation where = SourceLocation::current()) noexcept {
  return {fd, Interest::read, where};
}
// Does the same for a write.
[[nodiscard]] inline Readiness writable(int fd,
                                        SourceLocation where = SourceLocation::current()) noexcept {
  return {fd, Interest::write, where};
}

}  // namespace reactor::coro
