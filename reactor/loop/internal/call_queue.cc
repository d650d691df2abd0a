// SPDX-License-Identifier: MIT
#include "reactor/loop/internal/call_queue.h"

namespace reactor {

CallQueue::~CallQueue() {
  timers_.disarm(*this);
  round_.splice(waiting_);
  while (ListLink* const link = round_.first()) link->unlink();
}

void CallQueue::add(PollTarget& target) noexcept {
  timers_.withdraw(target);
  waiting_.append(target);
  wake();
}

void CallQueue::wake() noexcept {
  if (!armed()) timers_.arm(*this, TimePoint::min());
}

void CallQueue::on_expire() {
  round_.splice(waiting_);
  // If a call throws, the rest of the round runs in the next turn (G6).
  struct Rest {
    CallQueue& queue;
    ~Rest() {
      if (!queue.round_.empty()) queue.wake();
    }
  } const rest{*this};
  while (ListLink* const link = round_.first()) {
    auto& target = static_cast<PollTarget&>(*link);
    target.unlink();
    slow_.enter_copied(target);  // the target may be destroyed in its call
    target.on_call();
  }
}

}  // namespace reactor
