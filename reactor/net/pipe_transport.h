// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/net/transport.h"

namespace reactor {

// For a Stream on what is no socket: one end of a pipe or FIFO, a terminal. Uses read(2) and
// write(2), never SIGPIPE. Which ways it goes is the descriptor's access mode: with a write-only
// one a Stream never reads, and learns at its next write that nobody reads any more
// (std::errc::broken_pipe); writing to a read-only one fails with std::errc::bad_file_descriptor.
// The descriptor should be non-blocking: one that is not holds the loop up where the kernel takes
// less than it is given.
class PipeTransport final : public Transport {
 public:
  // `fd` is the one that the Stream has.
  explicit PipeTransport(int fd) noexcept;

  IoResult read(int fd, std::span<std::byte> buffer) override;
  IoResult write(int fd, std::span<const std::byte> bytes) override;
  // The end of a pipe is its close: ok.
  IoResult end_writing(int fd) override;
  [[nodiscard]] bool can_read() const noexcept override { return can_read_; }

 private:
  bool can_read_;
};

}  // namespace reactor
