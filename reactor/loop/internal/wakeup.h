// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/base/result.h"
#include "reactor/base/stats.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/poll_target.h"

namespace reactor {

// Wakeup is the descriptor behind post() and stop(): an eventfd if the system has it, else a pipe.
// Private to the loop, which attaches it.
class Wakeup final : public PollTarget {
 public:
  // Counts wake-ups in `wakeups`, which must outlive this object.
  explicit Wakeup(Counter& wakeups) : wakeups_(wakeups) {}

  // Makes the descriptors. May be called again after a fork, while detached.
  [[nodiscard]] std::error_code open();

  // Closes the descriptors. For a forked child, while detached.
  void close() noexcept {
    read_end_.reset();
    write_end_.reset();
  }

  // Ends the wait that is under way, or the next one. Any thread or signal handler.
  void wake() noexcept;

  // If each write gives an event of its own (edge-triggered), the descriptor is never read.
  void set_edge_triggered(bool edge) noexcept { edge_ = edge; }

  void on_ready(Ready ready) override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

 private:
  Counter& wakeups_;
  UniqueFd read_end_;   // also the write end if it is an eventfd
  UniqueFd write_end_;  // only if it is a pipe
  bool edge_ = false;
};

}  // namespace reactor
