// SPDX-License-Identifier: MIT
// The five handles of a Loop. Each is a move-only value that owns its place in the loop:
//
//  * Destroying it, or assigning over it, ends it at once: its callback never runs again, not even
//    for an event that was fetched already (G1). A callback may destroy its own handle or any other
//    (G2); the callable it runs in lives until the call is over.
//  * It belongs to the loop's thread; callbacks may call everything here.
//  * A handle that outlives its Loop is dead: its calls do nothing or give Errc::handle_dead.
//  * A handle that is default-made or moved from is empty: only assignment, destruction and
//    operator bool may be used.
//  * An active handle keeps Loop::run() going; unref() lifts that, ref() restores it.
#pragma once

#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/poller/event.h"

namespace reactor {

struct HandleSlot;
struct IoSlot;
struct TimerSlot;
struct SignalSlot;
struct ChildSlot;
struct DeferredSlot;

// What the handles have in common. Not for use by itself.
class Handle {
 public:
  Handle(Handle&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  // Whether there is a handle at all (see "empty" above).
  explicit operator bool() const noexcept { return slot_ != nullptr; }

  // Whether Loop::run() waits for this handle while it is active. The default is yes.
  void ref() noexcept;
  void unref() noexcept;

 protected:
  Handle() noexcept = default;
  explicit Handle(HandleSlot* slot) noexcept : slot_(slot) {}
  ~Handle();

  HandleSlot* slot_ = nullptr;
};

// Calls back while a descriptor is ready. Made by Loop::watch(). The descriptor stays the caller's:
// stop the watcher, then close it. Closing first is survived (G8): the watcher is dead, also when
// its number is another file's (by inode in a child and with select). A dup(2) keeps it alive.
class IoWatcher : public Handle {
 public:
  IoWatcher() noexcept = default;

  // Changes what is waited for. Interest::none pauses: no event, no wake-up, the place is kept.
  // Errors: Errc::handle_dead where the descriptor was closed, Errc::wrong_process, those of
  // epoll_ctl(2).
  Result<> set(Interest interest);
  [[nodiscard]] Interest interest() const noexcept;

  // Gives the descriptor free. set() gives Errc::handle_dead from here on.
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;
  [[nodiscard]] int fd() const noexcept;

 private:
  friend class Loop;
  explicit IoWatcher(IoSlot* slot) noexcept;
};

// Calls back when time has passed. Made by Loop::timer(), after() or every(). Never early; late by
// at most a tick (0.52 ms) and whatever the loop is busy with (G4). Order is by tick, then by
// start.
class Timer : public Handle {
 public:
  Timer() noexcept = default;

  // Fires once, `delay` after Loop::now(); starting it again moves it. Zero or less: in this turn's
  // timer phase, or in the next turn's when called from a timer. Beyond the clock's range: never.
  void start(Duration delay) noexcept;

  // Fires each `period` (at least 1 ns), first after one. It does not drift; periods that were
  // missed because the loop was busy are merged into one call.
  void start_every(Duration period) noexcept;

  // Nothing happens where it is not started.
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit Timer(TimerSlot* slot) noexcept;
};

// Calls back in the loop after a signal came. Made by Loop::on_signal(). Signals of one number that
// come before the loop gets to them are one call (signal(7): standard signals do not queue). The
// disposition that was there before the first watcher comes back after the last.
class SignalWatcher : public Handle {
 public:
  SignalWatcher() noexcept = default;
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit SignalWatcher(SignalSlot* slot) noexcept;
};

// How a child ended (waitpid(2)).
class ExitStatus {
 public:
  ExitStatus() noexcept = default;
  explicit ExitStatus(int wait_status) noexcept : status_(wait_status) {}
  explicit ExitStatus(std::error_code error) noexcept : error_(error) {}

  // Set where the status can't be known: no_child_process where another part of the program waited
  // for it, Errc::wrong_process after reinit_after_fork(). The rest means nothing then.
  [[nodiscard]] std::error_code error() const noexcept { return error_; }

  [[nodiscard]] bool exited() const noexcept;    // by exit() or return from main
  [[nodiscard]] int code() const noexcept;       // 0..255 where exited(), else -1
  [[nodiscard]] bool signaled() const noexcept;  // killed by a signal
  [[nodiscard]] int signal() const noexcept;     // its number where signaled(), else 0

 private:
  int status_ = 0;
  std::error_code error_;
};

// Calls back once when a child of this process ends, and has then waited for it. Made by
// Loop::on_exit(). Dropping it earlier leaves the child to be waited for by the application.
class ChildWatcher : public Handle {
 public:
  ChildWatcher() noexcept = default;
  void stop() noexcept;
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit ChildWatcher(ChildSlot* slot) noexcept;
};

// Calls back once before the loop next waits, however often it is scheduled. Made by
// Loop::deferred(). Scheduled from a deferred call, it runs before the wait after next, and the
// loop does not sleep in between.
class Deferred : public Handle {
 public:
  Deferred() noexcept = default;
  void schedule() noexcept;
  void stop() noexcept;  // takes a scheduled call back
  [[nodiscard]] bool active() const noexcept;

 private:
  friend class Loop;
  explicit Deferred(DeferredSlot* slot) noexcept;
};

}  // namespace reactor
