// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

#include "reactor/base/intrusive_list.h"
#include "reactor/loop/loop.h"

namespace reactor {

// The steps of openings that cost processor time (Transport::open_is_costly()): handshakes. A step
// of TLS takes a millisecond where a request takes microseconds, and clients come in bursts. So the
// steps wait here and run one after the other, within kBudget of each turn of the loop; established
// connections have their turn in between (G10). One turn takes at most the budget and one step.
// Belongs to its loop's thread. Private to net/.
class OpeningQueue {
 public:
  // No step begins later in a turn than this after the first one.
  static constexpr Duration kBudget = std::chrono::milliseconds(1);

  // A waiting step is a member of the object that it opens. Destroying it takes it out of the
  // queue.
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
    // May throw, may destroy the step, and may add steps.
    virtual void run() = 0;

    OpeningQueue* queue_ = nullptr;
  };

  explicit OpeningQueue(Loop& loop);
  ~OpeningQueue();
  OpeningQueue(const OpeningQueue&) = delete;
  OpeningQueue& operator=(const OpeningQueue&) = delete;

  // Runs `step` in a later turn, after those that wait already; nothing happens if it is one of
  // them.
  void add(Step& step) noexcept;
  // How many wait.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  void run();

  IntrusiveList waiting_;
  std::size_t size_ = 0;
  Deferred turn_;
};

}  // namespace reactor
