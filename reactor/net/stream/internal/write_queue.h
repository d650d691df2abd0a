// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/unique_fd.h"

namespace reactor {

// WriteQueue holds the bytes and parts of files that a Stream still has to write, in order. It
// writes nothing itself: its user writes as much of the front as the kernel takes, and then reports
// the number of bytes by wrote(). Private to net/.
class WriteQueue {
 public:
  struct FilePart {
    UniqueFd file;
    std::uint64_t offset, left;
    bool copied = false;  // a note of the user: sendfile(2) can't send this file
  };

  [[nodiscard]] bool empty() const noexcept { return last_.empty() && files_.empty(); }
  // Returns how many bytes are queued; files do not count.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool has_files() const noexcept { return !files_.empty(); }
  // Returns whether the queue is below the high-water mark: more may be written.
  [[nodiscard]] bool below(std::size_t high_water) const noexcept {
    return bytes_ < high_water && files_.empty();
  }
  // Returns whether the queue has fallen to the low-water mark: a writer that waits may go on.
  [[nodiscard]] bool drained(std::size_t low_water) const noexcept {
    return bytes_ <= low_water && files_.empty();
  }

  // These functions append a copy of `bytes`, or a part of a file. The part must not be empty. If
  // one throws std::bad_alloc, the queue has not changed.
  void append(std::span<const std::byte> bytes);
  void append(FilePart part);

  // Returns the part of a file that is next; null if bytes are next, or the queue is empty.
  [[nodiscard]] FilePart* front_file() noexcept;
  // Returns the bytes that are next, up to the next file. Empty if a file is next.
  [[nodiscard]] std::span<const std::byte> front_bytes() noexcept { return front_buffer().data(); }
  // Drops the first `count` bytes of the front, which must have that many. Closes a file that was
  // written whole.
  void wrote(std::size_t count) noexcept;

 private:
  struct Entry {
    ByteBuffer before;  // the bytes between the previous file and this one
    FilePart part;
  };
  [[nodiscard]] ByteBuffer& front_buffer() noexcept {
    return files_.empty() ? last_ : files_.front().before;
  }

  std::list<Entry> files_;
  ByteBuffer last_;        // the bytes after all files
  std::size_t bytes_ = 0;  // in all buffers
};

}  // namespace reactor
