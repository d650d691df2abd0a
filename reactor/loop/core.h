// SPDX-License-Identifier: MIT
// Core: the loop's state and its turn. Private; Loop is its public face.
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <memory>

#include "reactor/base/intrusive_list.h"
#include "reactor/base/stats.h"
#include "reactor/loop/children.h"
#include "reactor/loop/loop.h"
#include "reactor/loop/post_queue.h"
#include "reactor/loop/registry.h"
#include "reactor/loop/signals.h"
#include "reactor/loop/slow_watch.h"
#include "reactor/loop/timer_queue.h"
#include "reactor/loop/wakeup.h"

namespace reactor {

struct HandleSlot;

class Core {
 public:
  Core(LoopOptions loop_options, Backend chosen, std::unique_ptr<Poller> poller);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Attaches what wakes the loop.
  std::error_code start();

  // The run modes share this: one turn, or turns until there is nothing left to wait for. Takes
  // back a stop request at its end.
  Result<> run_while(bool forever, Duration limit);
  [[nodiscard]] Duration next_timeout() noexcept;
  void request_stop() noexcept;
  void post(Callback<void()> call);
  std::error_code reinit_after_fork();
  void close_in_child() noexcept;
  // Before the destructor, while all of this works: destroys what closures and coroutines own, and
  // ends all handles. Not from a callback.
  void end() noexcept;
  // False from end() on: no closure, and nothing that would have to be called, is taken any more.
  [[nodiscard]] bool accepts() const noexcept { return !ending_; }
  [[nodiscard]] bool in_own_process() const noexcept;
  // What a start() counts from: cached in a turn, the clock outside.
  [[nodiscard]] TimePoint start_time() const noexcept { return in_turn_ ? now : monotonic_now(); }

  // Runs `call` on behalf of `who`. The slot of a handle that is destroyed meanwhile lives on until
  // the call is over (G2).
  template <class Slot, class Call, class... Args>
  void call(Slot& slot, Call& callback, Args... args) {
    running_slot_ = &slot;
    const Running guard{*this, slot};
    callback(args...);
  }

  // Called when a handle goes: ends it, frees it now or after the call that is running.
  void release(HandleSlot& slot) noexcept;
  void link(HandleSlot& slot) noexcept;
  void unlink(HandleSlot& slot) noexcept;
  // `slot` became active, or ended.
  void keep(const HandleSlot& slot, bool keeps) noexcept;
  void count_keeping(bool more) noexcept { more ? ++keeping : --keeping; }

  // Declared in the order in which they depend on each other.
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
  IntrusiveList scheduled;       // deferred calls, for the next turn
  HandleSlot* newest = nullptr;  // all live handles
  std::size_t keeping = 0;       // active handles, besides the registry's, that keep run() going
  std::array<std::unique_ptr<LoopExtension>, 2> extensions;  // by Layer
  std::unique_ptr<std::byte[]> scratch;

 private:
  // Ends a call, also one that throws.
  struct Running {
    Core& core;
    HandleSlot& slot;
    ~Running() {
      core.running_slot_ = nullptr;
      if (core.running_slot_is_dead_) core.bury(slot);
    }
  };

  void end(HandleSlot& slot) noexcept;
  Result<> turn(bool forever, Duration limit);
  std::error_code wait(Duration limit);
  bool run_deferred();  // whether there was any
  void dispatch_io();
  template <class Enter>
  void dispatch_batch(Enter enter);
  void run_timers();
  void run_posted();
  void bury(HandleSlot& slot) noexcept;
  [[nodiscard]] bool work_is_waiting() const noexcept;
  [[nodiscard]] bool anything_to_wait_for() noexcept;

  IntrusiveList deferred_round_;  // deferred calls of this turn
  HandleSlot* running_slot_ = nullptr;
  bool running_slot_is_dead_ = false;
  bool in_turn_ = false;
  bool ending_ = false;       // set once; other threads may still post() before
  std::uint32_t generation_;  // of the process that owns this loop
  std::atomic<bool> stop_requested_{false};
};

}  // namespace reactor
