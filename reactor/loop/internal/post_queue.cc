// SPDX-License-Identifier: MIT
// The loop must not fall asleep after a call was pushed, and must not be woken while it is awake.
// Each side writes its own flag before it reads the other's, all sequentially consistent:
//
//   push():         puts the call on the stack,     then reads asleep_   (claim_wakeup())
//   fall_asleep():  sets asleep_,                   then reads the stack
//
// So at least one side sees what the other has written. If several threads push, the exchange in
// claim_wakeup() picks the one that wakes the loop.
#include "reactor/loop/internal/post_queue.h"

#include <memory>
#include <utility>

namespace reactor {

PostQueue::~PostQueue() { clear(); }

bool PostQueue::push(Call call) {
  auto node = std::make_unique<Node>(Node{nullptr, std::move(call)});
  node->next = pushed_.load(std::memory_order_relaxed);
  while (!pushed_.compare_exchange_weak(node->next, node.get(), std::memory_order_seq_cst,
                                        std::memory_order_relaxed)) {
  }
  static_cast<void>(node.release());
  return claim_wakeup();
}

// A load comes first, so that the flag's cache line stays shared while the loop is awake.
bool PostQueue::claim_wakeup() noexcept {
  return asleep_.load(std::memory_order_seq_cst) &&
         asleep_.exchange(false, std::memory_order_seq_cst);
}

bool PostQueue::fall_asleep() noexcept {
  asleep_.store(true, std::memory_order_seq_cst);
  return pushed_.load(std::memory_order_seq_cst) != nullptr;
}

void PostQueue::collect() noexcept {
  if (pushed_.load(std::memory_order_relaxed) == nullptr) return;
  Node* newest = pushed_.exchange(nullptr, std::memory_order_acquire);
  Node* const last = newest;
  Node* oldest = nullptr;
  while (newest != nullptr) {
    Node* const older = std::exchange(newest->next, oldest);
    oldest = newest;
    newest = older;
  }
  (first_ == nullptr ? first_ : last_->next) = oldest;
  last_ = last;
}

bool PostQueue::take(Call& call) noexcept {
  const std::unique_ptr<Node> node(first_);
  if (node == nullptr) return false;
  first_ = node->next;
  call = std::move(node->call);
  return true;
}

bool PostQueue::empty() const noexcept {
  return first_ == nullptr && pushed_.load(std::memory_order_relaxed) == nullptr;
}

void PostQueue::clear() noexcept {
  collect();
  while (first_ != nullptr) {
    const std::unique_ptr<Node> node(std::exchange(first_, first_->next));
  }
}

}  // namespace reactor
