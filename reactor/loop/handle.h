// SPDX-License-Identifier: MIT
// A Loop has five kinds of handle. Each is a move-only value that owns its registration with the
// loop.
//
// * Destroying a handle, or assigning to it, ends it at once: its callback never runs again, not
//   even for an event that was already fetched (G1). A callback may destroy its own handle or any
//   other (G2); the running callable lives until the call has returned.
// * A handle belongs to the loop's thread. Callbacks may call any function here.
// * A handle that outlives its Loop is dead: its calls do nothing or return Errc::handle_dead.
// * A default-constructed or moved-from handle is empty. Only assignment, destruction and operator
//   bool may be used on it.
// * An active handle keeps Loop::run() going. unref() stops this, ref() restores it.
#pragma once

#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/poller/readiness.h"

namespace reactor {

struct HandleState;
struct IoState;
struct TimerState;
struct SignalState;
struct ChildState;
struct DeferredState;

// Handle is the common base of the handles. It is of no use by itself.
class Handle {
 public:
  Handle(Handle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Returns false if the handle is empty (see above).
  explicit operator bool() const noexcept { return state_ != nullptr; }

  // ref() makes Loop::run() wait for this handle while it is active, which is the default. unref()
  // stops that.
  void ref() noexcept;
  void unref() noexcept;

 protected:
  Handle() noexcept = default;
  explicit Handle(HandleState* state) noexcept : state_(state) {}
  ~Handle();

  HandleState* state_ = nullptr;
};

// An IoWatcher calls back while a descriptor is ready. It is made by Loop::watch(). The caller
// still owns the descriptor: stop the watcher, then close the descriptor. If the descriptor is
// closed first (G8), the watcher is dead, and stays dead when another file gets the number. There
// is one exception: with epoll, the watcher goes on watching the old file while a dup(2) of the
// descriptor is open. In a forked child, and with select or libkqueue, the loop tells another file
// from the old one by its inode.
class IoWatcher : public Handle {
 public:
  IoWatcher() noexcept = default;

  // Changes the events that are waited for. Interest::none pauses: there are no events and no
  // wake-ups, but the descriptor stays claimed by this watcher. Errors: Errc::handle_dead if the
  // descriptor was closed; Errc::wrong_process; those of epoll_ctl(2). If epoll_ctl(2) fails, for
  // example for lack of memory, the loop also repeats the change by itself until it succeeds.
  Result<> set(Interest interest);
  [[nodiscard]] Interest interest() const noexcept;

  // Ends the watch, so that another watcher may watch the descriptor. After that, set() returns
  // Errc::handle_dead.
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;
  [[nodiscard]] int fd() const noexcept;

 private:
  friend class Loop;
  explicit IoWatcher(IoState* state) noexcept;
};

// A Timer calls back when its time has passed. It is made by Loop::timer(), after() or every(). It
// is never early (G4). It is late by at most a tick (0.52 ms), plus the resolution of the kernel's
// wait, plus the time that the loop is busy. Timers fire in the order of their ticks, and those of
// one tick in the order of their starts.
class Timer : public Handle {
 public:
  Timer() noexcept = default;

  // Fires once, `delay` after Loop::start_time(). Starting a timer again replaces its earlier
  // start. With a delay of zero or less, it fires in the next timer phase that begins, which may be
  // this turn's. If the time is beyond the clock's range, the timer never fires.
  void start(Duration delay) noexcept;

  // Fires every `period` (at least 1 ns), for the first time after one period. It does not drift.
  // Periods that were missed because the loop was busy are merged into one call.
  void start_every(Duration period) noexcept;

  // Does nothing if the timer is not started.
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit Timer(TimerState* state) noexcept;
};

// A SignalWatcher calls back in the loop after a signal arrived. It is made by Loop::on_signal().
// If a signal arrives several times before the loop handles it, there is one call (signal(7):
// standard signals do not queue). When the last watcher of a signal ends, the signal gets back the
// disposition that it had before the first watcher.
class SignalWatcher : public Handle {
 public:
  SignalWatcher() noexcept = default;
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit SignalWatcher(SignalState* state) noexcept;
};

// ExitStatus says how a child ended (waitpid(2)).
class ExitStatus {
 public:
  ExitStatus() noexcept = default;
  explicit ExitStatus(int wait_status) noexcept : status_(wait_status) {}
  explicit ExitStatus(std::error_code error) noexcept : error_(error) {}

  // Returns a code of 0 if the status is known. Otherwise exited() and signaled() return false, and
  // the code is no_child_process if another part of the program waited for the child,
  // Errc::wrong_process after reinit_after_fork(), or the system's error if the system can no
  // longer report the exit.
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

  [[nodiscard]] bool exited() const noexcept;    // by exit() or return from main
  [[nodiscard]] int code() const noexcept;       // 0..255 if exited(), else -1
  [[nodiscard]] bool signaled() const noexcept;  // killed by a signal
  [[nodiscard]] int signal() const noexcept;     // the signal's number if signaled(), else 0

 private:
  int status_ = 0;
  std::error_code error_;
};

// A ChildWatcher waits for a child of this process, and calls back once when the child has ended.
// Loop::on_exit() makes it. If the watcher is destroyed earlier, the application has to wait for
// the child.
class ChildWatcher : public Handle {
 public:
  ChildWatcher() noexcept = default;
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit ChildWatcher(ChildState* state) noexcept;
};

// A Deferred calls back before the loop next waits: once, even if it was scheduled several times.
// It is made by Loop::deferred(). If a deferred call schedules it, it runs in the next turn, and
// the loop does not sleep before that.
class Deferred : public Handle {
 public:
  Deferred() noexcept = default;
  void schedule() noexcept;
  void stop() noexcept;  // cancels a scheduled call
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit Deferred(DeferredState* state) noexcept;
};

}  // namespace reactor
