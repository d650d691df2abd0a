// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace reactor {

// ByteBuffer is a queue of bytes in one piece of memory: bytes are appended at the end and consumed
// at the front. If there is no room at the end, the buffer moves its bytes to the front, provided
// that they fill at most half of the memory and that the new bytes then fit. Otherwise it moves
// them to new memory of twice their size (more if one append needs more, and at least 1 KiB). The
// buffer does not limit its size; its user has to. Consumed bytes are poisoned in AddressSanitizer
// builds.
class ByteBuffer {
 public:
  ByteBuffer() noexcept = default;

  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::span<std::byte> data() noexcept { return {memory_.get() + begin_, size()}; }

  // Appends a copy of `bytes`. Throws std::bad_alloc.
  void append(std::span<const std::byte> bytes);
  // Returns the room at the end, at least `least` bytes. The caller writes there, then calls
  // commit() with the number of bytes it wrote. Throws std::bad_alloc.
  [[nodiscard]] std::span<std::byte> reserve(std::size_t least);
  void commit(std::size_t count) noexcept { end_ += count; }
  // Drops `count` bytes at the front, at most size().
  void consume(std::size_t count) noexcept;

 private:
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace reactor
