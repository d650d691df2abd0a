// SPDX-License-Identifier: MIT
// Core holds the loop's state and runs its turns. Private; Loop is its public face.
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <memory>

#include "reactor/base/intrusive_list.h"
#include "reactor/base/stats.h"
#include "reactor/loop/internal/call_queue.h"
#include "reactor/loop/internal/children.h"
#include "reactor/loop/internal/post_queue.h"
#include "reactor/loop/internal/registry.h"
#include "reactor/loop/internal/signals.h"
#include "reactor/loop/internal/slow_watch.h"
#include "reactor/loop/internal/wakeup.h"
#include "reactor/loop/loop.h"
#include "reactor/loop/timer_queue.h"

namespace reactor {

struct HandleState;

class Core {
 public:
  Core(LoopOptions loop_options, Backend chosen, std::unique_ptr<Poller> poller);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Opens and attaches the wake-up descriptor.
  std::error_code start();

  // If `forever`, runs turns until stop() or until there is nothing left to wait for; otherwise
  // runs one turn. Each turn waits up to `limit`. All run modes share this function. It clears the
  // stop request when it returns.
  Result<> run_while(bool forever, Duration limit);
  [[nodiscard]] Duration next_timeout() noexcept;
  void request_stop() noexcept;
  void post(Callback<void()> call);
  std::error_code reinit_after_fork();
  void close_in_child() noexcept;
  // Ends all handles, and destroys all closures and coroutines with everything that they own.
  // ~Loop() calls it while everything here still works. Aborts if a callback is running.
  void end() noexcept;
  // Returns false from end() on: the loop then accepts no closure and nothing else that it would
  // have to call.
  [[nodiscard]] bool accepts() const noexcept { return !ending_; }
  [[nodiscard]] bool in_own_process() const noexcept;
  // Returns the time from which a started timer counts: the cached time inside a turn, else the
  // clock's.
  [[nodiscard]] TimePoint start_time() const noexcept { return in_turn_ ? now : monotonic_now(); }

  // Runs `callback`, whose owner is `state`. If the handle is destroyed meanwhile, the state lives
  // on until the call has returned (G2).
  template <class State, class Call, class... Args>
  void call(State& state, Call& callback, Args... args) {
    running_ = &state;
    const Running guard{*this, state};
    callback(args...);
  }

  // Called when a handle is destroyed: ends `state`, and frees it now or after its running call.
  void release(HandleState& state) noexcept;
  void link(HandleState& state) noexcept;
  void unlink(HandleState& state) noexcept;
  // Call it when a handle became active (`keeps`) or ended (not `keeps`). Counts the handle unless
  // it is unref'ed.
  void keep(const HandleState& state, bool keeps) noexcept;
  void count_keeping(bool more) noexcept { more ? ++keeping : --keeping; }

  // A member may depend on those declared before it.
  LoopOptions options;
  Backend backend;
  LoopStats own_stats;
  LoopStats* stats;
  TimePoint now;
  Registry registry;
  TimerQueue timers;
  PostQueue posts;
  Wakeup wakeup;
  Signals signals;
  Children children;
  SlowWatch slow;
  CallQueue calls;
  IntrusiveList scheduled;        // deferred calls for the next turn
  HandleState* newest = nullptr;  // start of the list of all live handles
  std::size_t keeping = 0;        // active handles that keep run() going, except the registry's
  std::array<std::unique_ptr<LoopExtension>, 3> extensions;  // indexed by Layer
  std::unique_ptr<std::byte[]> scratch;

 private:
  // Its destructor ends the call, even if the callback throws.
  struct Running {
    Core& core;
    HandleState& state;
    ~Running() {
      core.running_ = nullptr;
      if (core.running_is_dead_) core.bury(state);
    }
  };

  void end(HandleState& state) noexcept;
  Result<> turn(bool forever, Duration limit);
  std::error_code wait(Duration limit);
  bool run_deferred();  // returns whether it ran any call
  void dispatch_io();
  template <class Enter>
  void dispatch_batch(Enter enter);
  void run_timers();
  void run_posted();
  void bury(HandleState& state) noexcept;
  [[nodiscard]] bool work_is_waiting() const noexcept;
  [[nodiscard]] bool anything_to_wait_for() noexcept;

  IntrusiveList deferred_round_;  // deferred calls that this turn still has to run
  HandleState* running_ = nullptr;
  bool running_is_dead_ = false;
  bool in_turn_ = false;
  bool ending_ = false;       // set once; until then, other threads may still post()
  std::uint32_t generation_;  // of the process that owns this loop
  std::atomic<bool> stop_requested_{false};
};

}  // namespace reactor
