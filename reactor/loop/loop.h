// SPDX-License-Identifier: MIT
// Loop: waits for descriptors, time, signals, children and calls from elsewhere, and calls back.
//
// A turn has these phases, in this order:
//   deferred calls; time-out computed; wait; now() updated; I/O; signals and children; due timers;
//   posted calls
//
// Guarantees (each a test by its number, on every backend; docs/architecture.md tells how):
//   G1 after stop() or destruction a callback never runs again. G2 a callback may destroy any
//   handle. G3 what is registered in a callback is first polled in the next batch. G4 timers are
//   never early. G5 readiness is a hint. G6 an exception out of a callback leaves run(); the loop
//   stays usable and goes on with the rest at the next run(). G7 only post() and stop() are
//   thread-safe. G8 one watcher per descriptor. G9 a forked child that uses the loop gets
//   Errc::wrong_process. G10 nobody starves. G12 what closures own may outlive it, or not.
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
#include "reactor/poller/event.h"

namespace reactor {

class Core;

// How a Loop learns that a child ended. `automatic` takes the first that works: pidfd_open(2),
// EVFILT_PROC, SIGCHLD. The others are for systems that forbid it, and for tests.
enum class ChildMethod : std::uint8_t { automatic, pidfd, process_filter, sigchld };

struct LoopOptions {
  // The backend; a named one that is missing is an error, never silently another.
  Backend backend = Backend::automatic;

  // A batch of callbacks that takes longer is logged with the place where its handle was made, but
  // each place only once in 10 s, with a count of the others. Zero switches it off.
  Duration slow_callback = std::chrono::milliseconds(100);

  // Called each time, with the culprit and its time. A batch that named nobody yet has
  // an empty `kind`.
  Callback<void(const HandleInfo&, Duration)> on_slow = {};

  // Where to count; null: in the loop. It outlives the loop.
  LoopStats* stats = nullptr;

  ChildMethod child_method = ChildMethod::automatic;
};

// How many of each kind of handle are alive.
struct HandleCounts {
  std::size_t io = 0, timers = 0, signals = 0, children = 0, deferred = 0;
  std::size_t transports = 0;  // streams, listeners and others on bare poll targets
};

// The layers above that keep something with a loop.
enum class Layer : std::uint8_t { net, coro };

// Base of what a layer above keeps with a loop; see Loop::extension().
class LoopExtension {
 public:
  // In the loop's destructor, as described there: destroys what users own, or what runs their code.
  // It can still be found by Loop::extension(), and is destroyed later.
  virtual void on_loop_end() noexcept {}
  virtual ~LoopExtension() = default;
};

// One per process as a rule; it belongs to the thread that runs it, and to the process that made
// it.
class Loop {
 public:
  // Throws std::system_error: Errc::unknown_backend, or what the kernel refused (EMFILE, ENOMEM).
  explicit Loop(LoopOptions options = {});
  // Destroys every callable that the loop has, with what they own: of posted calls, of handles that
  // are still alive, on_slow; and every coroutine. All of the loop still works meanwhile, but it
  // takes nothing new: post() destroys its callable, handles are dead from the start, watch() and
  // attach() give Errc::handle_dead, run() gives Errc::nested_run. Then the loop is gone. Handles
  // that outlive it are dead, and are named in the log at debug level. Transports, servers, tasks
  // and resolvers may outlive it too; destroying them is then the only thing that may be done.
  // Not in a callback of this loop: that is a bug of the caller, which is logged, and aborts. Call
  // stop() there, and destroy the loop after run() has returned.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Watches `fd` (not owned; any number). The callback gets what it is ready for, again and again
  // while it is (level-triggered). Interest::none registers it paused.
  // Errors: file_exists where a live watcher has this descriptor (G8), Errc::not_pollable for
  // regular files, bad_file_descriptor, Errc::wrong_process, no_space_on_device (epoll_ctl(2)),
  // not_enough_memory.
  Result<IoWatcher> watch(int fd, Interest interest, Callback<void(Ready)> callback,
                          SourceLocation where = SourceLocation::current());

  // A timer that is not started; one that fires once; one that fires each period. See Timer.
  [[nodiscard]] Timer timer(Callback<void()> callback,
                            SourceLocation where = SourceLocation::current());
  [[nodiscard]] Timer after(Duration delay, Callback<void()> callback,
                            SourceLocation where = SourceLocation::current());
  [[nodiscard]] Timer every(Duration period, Callback<void()> callback,
                            SourceLocation where = SourceLocation::current());

  // Watches signal `number` (1..SIGRTMAX). Several watchers of one loop may watch the same.
  // Errors: Errc::signal_taken while another Loop watches it, invalid_argument (sigaction(2)).
  Result<SignalWatcher> on_signal(int number, Callback<void()> callback,
                                  SourceLocation where = SourceLocation::current());

  // Waits for `pid`, a child of this process and no other: never steals the application's others.
  // Errors: no_child_process where it is not ours or was waited for already.
  Result<ChildWatcher> on_exit(pid_t pid, Callback<void(ExitStatus)> callback,
                               SourceLocation where = SourceLocation::current());
  // Whether an active ChildWatcher waits for `pid`. For process 1, which has to wait for orphans.
  [[nodiscard]] bool waits_for(pid_t pid) const noexcept;

  // See Deferred.
  [[nodiscard]] Deferred deferred(Callback<void()> callback,
                                  SourceLocation where = SourceLocation::current());

  // Runs `callback` in the loop, in the order of posting of each thread. From any thread, also from
  // callbacks; not from a signal handler. Wakes a sleeping loop; costs no system call when it is
  // awake. What is posted while posted calls run waits a turn. Throws std::bad_alloc.
  void post(Callback<void()> callback);

  // Turns until stop(), or until nothing is left to wait for: no active handle that is not
  // unref'ed, no deferred or posted call. Throws what a callback throws (G6). Errors:
  // Errc::nested_run from inside a callback, Errc::wrong_process, those of the kernel's wait.
  Result<> run();

  // One turn that waits up to `timeout` (negative counts as 0), but not where a deferred call has
  // run in it; poll() does not wait. As run() else.
  Result<> run_once(Duration timeout = kForever);
  Result<> poll();

  // Ends run() or run_once() after the present turn. From any thread, also from callbacks, and from
  // signal handlers. Called while none runs, it ends the next one before its first turn.
  void stop() noexcept;

  // The time at the start of this batch of callbacks; outside a turn, the time of the last one.
  // Timers count from it inside a turn, and from the clock outside.
  [[nodiscard]] TimePoint now() const noexcept { return *now_; }
  // What a delay counts from so that it is never cut short: now() inside a turn, else the clock.
  [[nodiscard]] TimePoint start_time() const noexcept;
  // Reads the clock, for a callback that took long and then starts a timer.
  void update_now() noexcept;

  // To nest this loop in another one: wait until backend_fd() is readable or next_timeout() has
  // passed, then poll(). Ask for both again after each poll(). next_timeout() is 0 while deferred
  // or posted calls wait, kForever where no timer runs. Errors: Errc::not_supported with select
  // and with libkqueue, Errc::wrong_process.
  [[nodiscard]] Result<int> backend_fd() const;
  [[nodiscard]] Duration next_timeout();
  [[nodiscard]] Backend backend() const noexcept;

  // Makes a loop inherited by fork() this process's own: same watchers and timers, new kernel
  // objects, the parent's untouched. Child watchers end with Errc::wrong_process. Posted calls and
  // signals from before the fork are the parent's; signals that came since are delivered. A watcher
  // whose file was closed stays dead. Errors: those of the kernel; nested_run from a callback.
  Result<> reinit_after_fork();

  // In a forked child that goes on with a loop of its own: closes what this one holds in the kernel
  // and every descriptor that it watches (but 0, 1 and 2), so that all of them are the parent's
  // alone. The parent's set and socket files stay as they are (G9). Nothing that was made with this
  // loop may be used from here on, nor be destroyed: the child leaves by _exit(2). Callbacks may
  // call it.
  void close_in_child() noexcept;

  [[nodiscard]] const LoopStats& stats() const noexcept;
  [[nodiscard]] HandleCounts counts() const noexcept;
  // How many active handles and transports keep run() going.
  [[nodiscard]] std::size_t keeping() const noexcept;
  // One line per live handle: kind, number, age in seconds, file:line where it was made.
  void dump(std::ostream& out) const;
  // The handle whose callback runs right now, also after the callback has destroyed it; an empty
  // `kind` if none runs. Async-signal-safe, so that a watchdog can name the handle that holds the
  // loop up.
  [[nodiscard]] HandleInfo current() const noexcept;

  // ---- For transports: bare targets and nodes, nothing allocated. Loop thread only. ----

  // Watches target.fd(). Errors as watch(). The target keeps run() going unless `background`.
  Result<> attach(PollTarget& target, Interest interest, bool background = false,
                  Sharing sharing = Sharing::alone);
  // Dropping interest is lazy, and costs a system call only if an event comes that nobody wants; a
  // shared descriptor is out of the kernel's set at once, so that others get the event.
  // Errors as IoWatcher::set().
  Result<> set_interest(PollTarget& target, Interest interest);
  // Ends it; never fails. Nothing happens where it is not attached.
  void detach(PollTarget& target, Detach how) noexcept;

  // As TimerQueue's, and a node keeps run() going while armed only if its owner is attached.
  void arm(TimerNode& node, TimePoint deadline) noexcept;
  void disarm(TimerNode& node) noexcept;
  void postpone(TimerNode& node, TimePoint deadline) noexcept;

  // 64 KiB to read into, lent until the callback returns: the next one uses the same memory. After
  // on_data() it is poisoned in AddressSanitizer builds; each call here opens it again. Only
  // the first call may throw std::bad_alloc.
  [[nodiscard]] std::span<std::byte> scratch();
  // Keeps run() going until it is released as often: for who waits on a bare timer node.
  void hold() noexcept;
  void release() noexcept;
  // One object of a layer above, made once and destroyed with the loop, while all of the loop still
  // works and the higher layer's first; null before set.
  [[nodiscard]] LoopExtension* extension(Layer layer) noexcept;
  void set_extension(Layer layer, std::unique_ptr<LoopExtension> extension) noexcept;
  // False in a forked child that did not call reinit_after_fork().
  [[nodiscard]] bool in_own_process() const noexcept;

 private:
  std::unique_ptr<Core> core_;
  const TimePoint* now_;
};

}  // namespace reactor
