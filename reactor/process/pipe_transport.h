// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/net/transport.h"

namespace reactor {

// PipeTransport is the transport of a Stream on one end of a pipe or FIFO, or on a terminal. It
// uses read(2) and write(2), never with SIGPIPE. The descriptor's access mode decides the
// direction. On a write-only descriptor a Stream never reads, and learns at its next write that no
// reader is left (std::errc::broken_pipe). Writing to a read-only descriptor fails with
// std::errc::bad_file_descriptor. The descriptor should be non-blocking; otherwise it blocks the
// loop when the kernel has too little room for a write.
class PipeTransport final : public Transport {
 public:
  // `fd` is the descriptor of the Stream.
  explicit PipeTransport(int fd) noexcept;

  IoResult read(int fd, std::span<std::byte> buffer) override;
  IoResult write(int fd, std::span<const std::byte> bytes) override;
  // Does nothing and returns ok: only closing the descriptor ends a pipe.
  IoResult end_writing(int fd) noexcept override;
  [[nodiscard]] bool can_read() const noexcept override { return can_read_; }

 private:
  bool can_read_;
};

}  // namespace reactor
