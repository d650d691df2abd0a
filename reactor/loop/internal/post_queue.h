// SPDX-License-Identifier: MIT
// PostQueue holds calls from other threads and decides whether the loop has to be woken for them.
// Private to the loop.
#pragma once

#include <atomic>

#include "reactor/base/callback.h"

namespace reactor {

// The calls are in a lock-free stack: any thread pushes, and the loop takes the whole stack and
// reverses it. As there is no lock, a fork in the middle of a push can't leave a lock held in the
// child.
class PostQueue {
 public:
  using Call = Callback<void()>;

  PostQueue() noexcept = default;
  PostQueue(const PostQueue&) = delete;
  PostQueue& operator=(const PostQueue&) = delete;
  ~PostQueue();

  // Adds a call. Returns true if the loop sleeps and this caller has to wake it. Any thread.
  [[nodiscard]] bool push(Call call);

  // Marks the loop as asleep, or about to sleep. Returns true if a call was pushed meanwhile; the
  // loop must not sleep then. fall_asleep() and push() are sequentially consistent, so at least one
  // of the two notices the other.
  [[nodiscard]] bool fall_asleep() noexcept;
  void wake_up() noexcept { asleep_.store(false, std::memory_order_relaxed); }
  // Returns whether the loop sleeps and this caller has to wake it, as push() does. For stop().
  [[nodiscard]] bool claim_wakeup() noexcept;

  // Moves all pushed calls behind those that are already collected. Loop thread.
  void collect() noexcept;
  // Takes the oldest collected call and frees its node. Returns false if there is none.
  [[nodiscard]] bool take(Call& call) noexcept;
  [[nodiscard]] bool empty() const noexcept;
  [[nodiscard]] bool collected() const noexcept { return first_ != nullptr; }

  // Drops all calls without running them.
  void clear() noexcept;

 private:
  struct Node {
    Node* next;
    Call call;
  };

  std::atomic<Node*> pushed_{nullptr};  // newest first
  std::atomic<bool> asleep_{true};      // at first true, because no turn has run yet
  Node* first_ = nullptr;               // collected, oldest first
  Node* last_ = nullptr;
};

}  // namespace reactor
