// SPDX-License-Identifier: MIT
#include "reactor/base/byte_buffer.h"

#include <algorithm>
#include <cstring>

#include "reactor/base/internal/poison.h"

namespace reactor {

void ByteBuffer::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  std::memcpy(reserve(bytes.size()).data(), bytes.data(), bytes.size());
  commit(bytes.size());
}

std::span<std::byte> ByteBuffer::reserve(std::size_t least) {
  if (capacity_ - end_ < least) {
    const std::size_t used = size();
    // Each move has to leave at least as many bytes free as it moves. Then append() moves a byte
    // about once on average. No more memory than that is taken, because slow peers can keep many
    // such buffers filled at the same time.
    const std::size_t needed = used + std::max(used, least);
    if (capacity_ >= needed) {
      unpoison({memory_.get(), capacity_});
      std::memmove(memory_.get(), memory_.get() + begin_, used);
    } else {
      constexpr std::size_t kLeast = 1024;
      const std::size_t grown = std::max(kLeast, needed);
      std::unique_ptr<std::byte[]> memory(new std::byte[grown]);
      if (used > 0) std::memcpy(memory.get(), memory_.get() + begin_, used);
      memory_ = std::move(memory);
      capacity_ = grown;
    }
    begin_ = 0;
    end_ = used;
  }
  const std::span<std::byte> room(memory_.get() + end_, capacity_ - end_);
  unpoison(room);
  return room;
}

void ByteBuffer::consume(std::size_t count) noexcept {
  count = std::min(count, size());
  poison(data().first(count));
  begin_ += count;
  if (empty()) begin_ = end_ = 0;
}

}  // namespace reactor
