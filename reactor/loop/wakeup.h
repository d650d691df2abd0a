// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/base/result.h"
#include "reactor/base/stats.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/poll_target.h"

namespace reactor {

// The descriptor behind post() and stop(): an eventfd where there is one, else a pipe. Private to
// the loop, which attaches it.
class Wakeup final : public PollTarget {
 public:
  // Counts in `wakeups`, which outlives this.
  explicit Wakeup(Counter& wakeups) : wakeups_(wakeups) {}

  // Makes the descriptors; again after a fork, while detached.
  [[nodiscard]] std::error_code open();

  // In a forked child, while detached.
  void close() noexcept {
    read_end_.reset();
    write_end_.reset();
  }

  // Ends the wait that is under way, or the next one. From any thread or signal handler.
  void wake() noexcept;

  // Where each write is an edge of its own, nothing ever needs to be read.
  void set_edge_triggered(bool edge) noexcept { edge_ = edge; }

  void on_ready(Ready ready) override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

 private:
  Counter& wakeups_;
  UniqueFd read_end_;   // also the write end of an eventfd
  UniqueFd write_end_;  // of a pipe
  bool edge_ = false;
};

}  // namespace reactor
