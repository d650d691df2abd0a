// SPDX-License-Identifier: MIT
#include "reactor/net/stream/internal/write_queue.h"

#include <utility>

namespace reactor {

void WriteQueue::append(std::span<const std::byte> bytes) {
  last_.append(bytes);
  bytes_ += bytes.size();
}

void WriteQueue::append(FilePart part) {
  files_.push_back({{}, std::move(part)});
  files_.back().before = std::exchange(last_, {});
}

WriteQueue::FilePart* WriteQueue::front_file() noexcept {
  const bool is_next = !files_.empty() && files_.front().before.empty();
  return is_next ? &files_.front().part : nullptr;
}

void WriteQueue::wrote(std::size_t count) noexcept {
  if (FilePart* const part = front_file()) {
    part->offset += count;
    part->left -= count;
    if (part->left == 0) files_.pop_front();
    return;
  }
  ByteBuffer& front = front_buffer();
  front.consume(count);
  bytes_ -= count;
  if (front.empty()) front = {};  // frees its memory
}

}  // namespace reactor
