// SPDX-License-Identifier: MIT
#pragma once

#include <csignal>

namespace reactor {

// While it lives, a write to a pipe or socket that nobody reads is EPIPE and nothing else, in this
// thread: for write(2) and sendfile(2), which have no MSG_NOSIGNAL. A SIGPIPE that was pending
// before stays so. Private to net/.
class SigpipeBlock {
 public:
  SigpipeBlock() noexcept;
  ~SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

  // The call gave EPIPE: its signal is taken back.
  void take_back() noexcept;

 private:
  sigset_t before_;
  bool was_blocked_, was_pending_;
};

}  // namespace reactor
