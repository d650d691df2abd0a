// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace reactor {

// A FIFO of bytes in one piece of memory: append at the end, consume at the front. If there is no
// room at the end it moves what it holds to the front, or to memory that is twice as large as that
// (larger only for one append that needs more). The user sets the limit.
// Consumed bytes are poisoned in AddressSanitizer builds.
class ByteBuffer {
 public:
  ByteBuffer() noexcept = default;

  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::span<std::byte> data() noexcept { return {memory_.get() + begin_, size()}; }

  // Copies `bytes` behind what is there. Throws std::bad_alloc.
  void append(std::span<const std::byte> bytes);
  // Room for at least `least` octets behind what is there; commit() tells how many were put there.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t least);
  void commit(std::size_t count) noexcept { end_ += count; }
  // Forgets `count` bytes at the front, at most size().
  void consume(std::size_t count) noexcept;

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace reactor
