// SPDX-License-Identifier: MIT
// PostQueue: calls from other threads, and the question whether the loop has to be woken for them.
// Private to the loop.
#pragma once

#include <atomic>

#include "reactor/base/callback.h"

namespace reactor {

// A stack that any thread pushes to and the loop takes whole and turns around. No lock, so a fork
// in the middle of a push harms nobody.
class PostQueue {
 public:
  using Call = Callback<void()>;

  PostQueue() noexcept = default;
  PostQueue(const PostQueue&) = delete;
  PostQueue& operator=(const PostQueue&) = delete;
  ~PostQueue();

  // From any thread. True: the loop sleeps, and this caller has to wake it.
  [[nodiscard]] bool push(Call call);

  // Marks the loop as asleep, or about to be. True: something was pushed meanwhile, don't sleep.
  // Sequentially consistent with push(): one of the two sees the other.
  [[nodiscard]] bool fall_asleep() noexcept;
  void wake_up() noexcept { asleep_.store(false, std::memory_order_relaxed); }
  // As push() decides it, for stop().
  [[nodiscard]] bool claim_wakeup() noexcept;

  // Moves all that was pushed behind what take() has left (loop thread).
  void collect() noexcept;
  // The oldest collected call; false where there is none. The call's memory is released.
  [[nodiscard]] bool take(Call& call) noexcept;
  [[nodiscard]] bool empty() const noexcept;
  [[nodiscard]] bool collected() const noexcept { return first_ != nullptr; }

  // Drops everything without running it.
  void clear() noexcept;

 private:
  struct Node {
    Node* next;
    Call call;
  };

  std::atomic<Node*> pushed_{nullptr};  // newest first
  std::atomic<bool> asleep_{true};      // no turn has run yet
  Node* first_ = nullptr;               // collected, oldest first
  Node* last_ = nullptr;
};

}  // namespace reactor
