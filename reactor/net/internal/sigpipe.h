// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>

namespace reactor {

// Blocks SIGPIPE in this thread during a write(2) or sendfile(2), which have no MSG_NOSIGNAL. A
// write to a pipe or socket without a reader then only gives EPIPE. A SIGPIPE that was pending
// before stays pending. Private to net/.
class SigpipeBlock {
 public:
  SigpipeBlock() noexcept;
  ~SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

  // Removes the signal of a call that gave EPIPE.
  void take_back() noexcept;

 private:
  sigset_t before_;
  bool was_blocked_, was_pending_;
};

}  // namespace reactor
