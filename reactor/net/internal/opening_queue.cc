// SPDX-License-Identifier: MIT
#include "reactor/net/internal/opening_queue.h"

namespace reactor {

OpeningQueue::OpeningQueue(Loop& loop) : turn_(loop.deferred([this] { run(); })) {}

// A step may outlive its loop, and must not refer to this queue then.
OpeningQueue::~OpeningQueue() {
  while (ListLink* const link = waiting_.first()) static_cast<Step&>(*link).cancel();
}

void OpeningQueue::add(Step& step) noexcept {
  if (step.waits()) return;
  step.queue_ = this;
  waiting_.append(step);
  ++size_;
  turn_.schedule();
}

void OpeningQueue::run() {
  // The steps that are left run in the next turn, even if a step throws.
  struct Rest {
    OpeningQueue& queue;
    ~Rest() {
      if (queue.size_ > 0) queue.turn_.schedule();
    }
  } const rest{*this};
  const TimePoint end = monotonic_now() + kBudget;
  while (ListLink* const link = waiting_.first()) {  // all may have been cancelled since add()
    auto& step = static_cast<Step&>(*link);
    step.cancel();
    step.run();
    if (monotonic_now() >= end) break;
  }
}

}  // namespace reactor
