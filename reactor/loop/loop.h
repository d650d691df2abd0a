// SPDX-License-Identifier: MIT
// Loop waits for descriptors, timers, signals, children and calls from other threads, and calls
// back.
//
// A turn has these phases, in this order:
//   deferred calls; timeout computed; wait; now() updated; I/O; signals and children; due timers
//   and calls of call_soon(); posted calls
//
// It gives these guarantees. Tests name each of them by its number, and run on every backend.
// README.md words them in full, and docs/architecture.md explains how they are kept.
//   G1  After stop() or destruction a callback never runs again.
//   G2  A callback may destroy any handle.
//   G3  A registration made in a callback is first polled in the next batch.
//   G4  Timers are never early.
//   G5  Readiness is a hint.
//   G6  An exception thrown by a callback leaves run(). The next run() continues with the rest.
//   G7  Only post() and stop() are thread-safe.
//   G8  A descriptor has at most one watcher.
//   G9  A forked child that uses the loop gets Errc::wrong_process.
//   G10 A busy descriptor, poster or timer never starves the others.
//   G12 Objects that closures own may be destroyed before or after the loop.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <span>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/stats.h"
#include "reactor/loop/dispatchable.h"
#include "reactor/loop/handle.h"
#include "reactor/loop/poll_target.h"
#include "reactor/loop/timer_queue.h"
#include "reactor/poller/readiness.h"

namespace reactor {

class Core;

// The ways in which a Loop learns that a child has ended. `automatic` takes the first that works:
// pidfd_open(2), EVFILT_PROC, SIGCHLD. The named methods are for systems that forbid an earlier
// one, and for tests.
enum class ChildMethod : std::uint8_t { automatic, pidfd, process_filter, sigchld };

struct LoopOptions {
  // The backend. If a named backend is missing, construction fails; no other one is tried.
  Backend backend = Backend::automatic;

  // If the callbacks between two waits (a batch) take longer than this, the loop logs the place
  // (the source line) where the slow handle was made. Each place is logged at most once in 10 s,
  // with a count of the lines left out. Zero disables this.
  Duration slow_callback = std::chrono::milliseconds(100);

  // Called for every slow batch, with the slow handle and its time. `kind` is empty if the slow
  // handle of the batch is not known.
  Callback<void(const HandleInfo&, Duration)> on_slow = {};

  // The counters to use; null: the loop's own. The object must outlive the loop.
  LoopStats* stats = nullptr;

  ChildMethod child_method = ChildMethod::automatic;
};

// The number of live handles of each kind.
struct HandleCounts {
  std::size_t io = 0, timers = 0, signals = 0, children = 0, deferred = 0;
  std::size_t transports = 0;  // streams, listeners and other bare poll targets
};

// The higher layers that keep an object in a loop.
enum class Layer : std::uint8_t { net, process, coro };

// The base of the object that a layer keeps in a loop; see Loop::extension().
class LoopExtension {
 public:
  // Called by the loop's destructor; ~Loop() says what still works then. An extension that holds
  // objects of the user or runs the user's code, such as coroutines, destroys them here. The
  // extension itself is destroyed later; until then Loop::extension() still returns it.
  virtual void on_loop_end() noexcept {}
  virtual ~LoopExtension() = default;
};

// Loop is the event loop. A process usually has one. A Loop belongs to the thread that runs it and
// to the process that made it.
class Loop {
 public:
  // Throws std::system_error: Errc::unknown_backend, or an error of the kernel (EMFILE, ENOMEM).
  explicit Loop(LoopOptions options = {});
  // Destroys every callable that the loop has (of posted calls, of live handles, on_slow), with
  // everything that the callable owns. Then destroys every coroutine. Meanwhile the whole loop
  // still works but accepts nothing new: post() destroys its callable, new handles are dead,
  // watch() and attach() return Errc::handle_dead, run() returns Errc::nested_run.
  // Handles that outlive the loop are dead, and are named in the log at debug level. Transports,
  // servers, tasks and resolvers may outlive it too; destroying them is all that is allowed then.
  // Destroying a loop inside one of its own callbacks is a bug of the caller: it is logged, and the
  // program aborts. Call stop() there, and destroy the loop after run() has returned.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Watches `fd` (not owned; any number). The callback is called again and again while the
  // descriptor is ready (level-triggered). With Interest::none, the watcher starts paused. Errors:
  // file_exists if a live watcher has this descriptor (G8), Errc::not_pollable for regular files,
  // bad_file_descriptor, Errc::wrong_process, no_space_on_device (epoll_ctl(2)), not_enough_memory.
  Result<IoWatcher> watch(int fd, Interest interest, Callback<void(Ready)> callback,
                          SourceLocation where = SourceLocation::current());

  // timer() makes a timer that is not started, after() one that fires once, every() one that fires
  // every period. See Timer.
  [[nodiscard]] Timer timer(Callback<void()> callback,
                            SourceLocation where = SourceLocation::current());
  [[nodiscard]] Timer after(Duration delay, Callback<void()> callback,
                            SourceLocation where = SourceLocation::current());
  [[nodiscard]] Timer every(Duration period, Callback<void()> callback,
                            SourceLocation where = SourceLocation::current());

  // Watches signal `number` (1..SIGRTMAX). Several watchers of one loop may watch the same signal.
  // Errors: Errc::signal_taken if another Loop watches it, invalid_argument (sigaction(2)).
  Result<SignalWatcher> on_signal(int number, Callback<void()> callback,
                                  SourceLocation where = SourceLocation::current());

  // Waits for `pid`, a child of this process. It never waits for other children of the application.
  // Errors: no_child_process if `pid` is not a child or was already waited for.
  Result<ChildWatcher> on_exit(pid_t pid, Callback<void(ExitStatus)> callback,
                               SourceLocation where = SourceLocation::current());
  // Returns whether an active ChildWatcher waits for `pid`. A program that runs as process 1 needs
  // this, because it also has to wait for orphans and must not take the exit of such a `pid` from
  // its watcher.
  [[nodiscard]] bool waits_for(pid_t pid) const noexcept;

  // Makes a Deferred, which is not scheduled.
  [[nodiscard]] Deferred deferred(Callback<void()> callback,
                                  SourceLocation where = SourceLocation::current());

  // Runs `callback` in the loop; calls posted by one thread run in the order of posting. May be
  // called by any thread and in callbacks, but not in a signal handler. Wakes a sleeping loop, and
  // costs no system call if the loop is awake. A call posted by a posted call runs in the next
  // turn. Throws std::bad_alloc.
  void post(Callback<void()> callback);

  // Runs turns until stop(), or until there is nothing left to wait for: no active handle that
  // keeps run() going, no deferred or posted call. Throws what a callback throws (G6).
  // Errors: Errc::nested_run from inside a callback, Errc::wrong_process, those of the kernel's
  // wait.
  Result<> run();

  // Runs one turn, which waits up to `timeout` (negative counts as 0). The turn does not wait if a
  // deferred call ran in it. poll() runs one turn without waiting. Exceptions and errors are those
  // of run().
  Result<> run_once(Duration timeout = kForever);
  Result<> poll();

  // Ends run() or run_once() after the present turn. If neither is running, the next run() or
  // run_once() ends before its first turn. May be called by any thread, in callbacks and in signal
  // handlers.
  void stop() noexcept;

  // Returns the time at the start of this batch of callbacks; outside a turn, the time of the last
  // batch. Timers count from now() inside a turn, and from the clock outside.
  [[nodiscard]] TimePoint now() const noexcept { return *now_; }
  // Returns the time from which a delay has to count so that it is never cut short: now() inside a
  // turn, else the clock.
  [[nodiscard]] TimePoint start_time() const noexcept;
  // Sets now() to the present time, for a callback that took long and then starts a timer.
  void update_now() noexcept;

  // To nest this loop in another one, wait until backend_fd() is readable or next_timeout() has
  // passed, then call poll(). Ask for both again after each poll(). next_timeout() is 0 if work is
  // already waiting, such as a deferred or posted call. Otherwise it is the time until the next
  // timer, or kForever if no timer runs. Errors of backend_fd(): Errc::not_supported with select
  // and with libkqueue, Errc::wrong_process.
  [[nodiscard]] Result<int> backend_fd() const;
  [[nodiscard]] Duration next_timeout();
  [[nodiscard]] Backend backend() const noexcept;

  // Lets a forked child use the loop that it inherited. The loop keeps its watchers and timers,
  // gets new kernel objects and leaves the parent's alone. Child watchers end with
  // Errc::wrong_process. Posted calls and signals from before the fork belong to the parent;
  // signals that arrived since are delivered. A watcher whose file was closed stays dead.
  // Errors: those of the kernel; nested_run from a callback.
  Result<> reinit_after_fork();

  // Lets a forked child make a new Loop of its own. Closes this loop's kernel objects and every
  // descriptor that it watches (except 0, 1 and 2), so that only the parent still has them. The
  // parent's kernel set and socket files stay as they are (G9). After this call, nothing that was
  // made with this loop may be used or even destroyed: the child has to end by _exit(2). Callbacks
  // may call it.
  void close_in_child() noexcept;

  [[nodiscard]] const LoopStats& stats() const noexcept;
  [[nodiscard]] HandleCounts counts() const noexcept;
  // Returns how many active handles and transports keep run() going.
  [[nodiscard]] std::size_t keeping() const noexcept;
  // Prints one line per live handle: kind, number, age in seconds, file:line where it was made.
  void dump(std::ostream& out) const;
  // Returns the handle whose callback is running, even if the callback has destroyed it. `kind` is
  // empty if none is running. Async-signal-safe, so that a watchdog can name the handle that blocks
  // the loop.
  [[nodiscard]] HandleInfo current() const noexcept;

  // ---- For transports: bare targets and nodes, no allocation. Loop thread only. ----

  // Watches target.fd(). The target keeps run() going unless `background`. Errors: those of
  // watch().
  Result<> attach(PollTarget& target, Interest interest, bool background = false,
                  Sharing sharing = Sharing::alone);
  // Changes the interest. Dropping interest is lazy: it costs a system call only if an unwanted
  // event arrives later. There is one exception: a shared descriptor without any interest leaves
  // the kernel's set immediately, so that other processes get its events.
  // Errors: those of IoWatcher::set().
  Result<> set_interest(PollTarget& target, Interest interest);
  // Watches an attached target as Sharing::shared from now on.
  void share(PollTarget& target) noexcept;
  // Ends the watch; never fails. Does nothing if the target is not attached.
  void detach(PollTarget& target, Detach how) noexcept;

  // These are TimerQueue's calls. An armed node does not keep run() going by itself: its owner has
  // to be attached, or call hold().
  void arm(TimerNode& node, TimePoint deadline) noexcept;
  void disarm(TimerNode& node) noexcept;
  void postpone(TimerNode& node, TimePoint deadline) noexcept;

  // Calls target.on_call() once, in the phase of due timers: in this turn, or in the next if that
  // phase has begun. Targets that already wait are called first. Until then the loop does not
  // sleep, and run() does not return. A target has either a timer or a pending call: call_soon()
  // disarms the timer, and arm() cancels the pending call. While a call is pending, armed() is true
  // and deadline() is TimePoint::min(); disarm() cancels it.
  void call_soon(PollTarget& target) noexcept;

  // Returns 64 KiB to read into, lent until the callback returns: the next callback uses the same
  // memory. In AddressSanitizer builds a Stream poisons it after on_data(), and each call here
  // unpoisons it. Only the first call may throw std::bad_alloc.
  [[nodiscard]] std::span<std::byte> scratch();
  // hold() keeps run() going until release() was called as often as hold(). For objects that wait
  // on a bare timer node.
  void hold() noexcept;
  void release() noexcept;
  // Returns the object that `layer` keeps in this loop, or null before set_extension(). The loop
  // destroys it while the whole loop still works, the higher layer's object first.
  [[nodiscard]] LoopExtension* extension(Layer layer) noexcept;
  void set_extension(Layer layer, std::unique_ptr<LoopExtension> extension) noexcept;
  // Returns false in a forked child that did not call reinit_after_fork().
  [[nodiscard]] bool in_own_process() const noexcept;

 private:
  std::unique_ptr<Core> core_;
  const TimePoint* now_;
};

}  // namespace reactor
