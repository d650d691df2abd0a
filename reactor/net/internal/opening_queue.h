// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "reactor/base/intrusive_list.h"
#include "reactor/loop/loop.h"

namespace reactor {

// OpeningQueue runs costly calls of Transport::open(), such as TLS handshakes, one after the other
// (Transport::open_is_costly()). Each call is a Step. It takes a millisecond, a request only
// microseconds, and clients connect in bursts. So the steps wait here, and each turn of the loop
// runs steps until kBudget has passed. Established connections are served in between (G10). In one
// turn, the queue takes at most the budget and one step. OpeningQueue belongs to its loop's thread.
// Private to net/.
class OpeningQueue {
 public:
  // Once this time has passed since a turn's first step, the turn begins no further step.
  static constexpr Duration kBudget = std::chrono::milliseconds(1);

  // Step is one step that may wait in the queue. It is a member of the object that it opens. Its
  // destructor takes it out of the queue.
  class Step : private ListLink {
   public:
    Step() = default;
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

    [[nodiscard]] bool waits() const noexcept { return linked(); }
    void cancel() noexcept {
      if (!linked()) return;
      unlink();
      --queue_->size_;
    }

   protected:
    ~Step() { cancel(); }

   private:
    friend class OpeningQueue;
    // Runs the step. May throw, destroy the step, and add steps.
    virtual void run() = 0;

    OpeningQueue* queue_ = nullptr;
  };

  explicit OpeningQueue(Loop& loop);
  ~OpeningQueue();
  OpeningQueue(const OpeningQueue&) = delete;
  OpeningQueue& operator=(const OpeningQueue&) = delete;

  // Runs `step` in a later turn, after the steps that already wait. Does nothing if `step` already
  // waits.
  void add(Step& step) noexcept;
  // Returns how many steps wait.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void run();

  IntrusiveList waiting_;
  std::size_t size_ = 0;
  Deferred turn_;
};

}  // namespace reactor
