// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstddef>

namespace reactor {

// A SigpipeBlock blocks SIGPIPE in this thread during a write(2), writev(2) or sendfile(2), which
// have no MSG_NOSIGNAL. A write to a pipe or socket without a reader then only fails with EPIPE. A
// SIGPIPE that was pending before stays pending.
//
//   SigpipeBlock block;
//   const ssize_t count = ::write(fd, data, size);
//   block.take_back(count, size);
class SigpipeBlock {
 public:
  SigpipeBlock() noexcept;
  ~SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

  // Removes the signal that the call may have raised. `count` is the value that the call returned,
  // `size` the number of bytes that it was asked to write. A call that wrote only a part may have
  // raised the signal too: sendfile(2) writes piece by piece, and the reader may close between two
  // pieces. Keeps errno.
  void take_back(ssize_t count, std::size_t size) noexcept;

 private:
  sigset_t before_;
  bool was_blocked_, was_pending_;
};

}  // namespace reactor
