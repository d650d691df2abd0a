// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/base/intrusive_list.h"
#include "reactor/loop/internal/slow_watch.h"
#include "reactor/loop/poll_target.h"
#include "reactor/loop/timer_queue.h"

namespace reactor {

// CallQueue holds the targets of Loop::call_soon() and calls them, in order. A turn without such
// calls costs nothing: the first target to wait arms this queue's own timer node for a time in the
// past. So the calls run with the due timers, and the loop does not sleep before that. Private to
// the loop.
class CallQueue final : private TimerNode {
 public:
  // `timers` and `slow` must outlive this object.
  CallQueue(TimerQueue& timers, SlowWatch& slow) noexcept : timers_(timers), slow_(slow) {}
  // Drops the pending calls, so that the targets may outlive the queue.
  ~CallQueue();
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  // Adds a target, or moves it to the end. Disarms its timer.
  void add(PollTarget& target) noexcept;
  [[nodiscard]] bool empty() const noexcept { return waiting_.empty() && round_.empty(); }

 private:
  void on_expire() override;
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"call", -1, {}, {}}; }
  void wake() noexcept;

  TimerQueue& timers_;
  SlowWatch& slow_;
  IntrusiveList waiting_;  // for the next round
  IntrusiveList round_;    // the calls that this round still has to make
};

}  // namespace reactor
