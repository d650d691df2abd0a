// SPDX-License-Identifier: MIT
// This file has the part of Stream that writes its queue: bytes and files.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {
namespace {

// Returns whether sendfile(2) does not work with this file or socket at all.
bool cannot_do_it(IoResult result) noexcept {
  const std::error_code error = result.error();
  return error == std::errc::operation_not_supported || error == std::errc::invalid_argument;
}

}  // namespace

// Writes the queue in order, until an entry can't be written whole. A turn writes about kWriteTurn
// bytes at most. Returns whether anything was written.
bool Stream::write_queued() {
  std::size_t sum = 0;
  while (queue_ != nullptr && sum < kWriteTurn) {
    const WriteQueue::FilePart* const file = queue_->front_file();
    const std::uint64_t whole = file != nullptr ? file->left : queue_->front_bytes().size();
    const std::size_t count = file != nullptr ? write_file() : write_front();
    queue_->wrote(count);
    sum += count;
    if (has(kFailed)) return sum > 0;
    if (queue_->empty()) queue_.reset();
    if (count < whole) return sum > 0;
  }
  if (queue_ != nullptr) return true;
  clear(kQueued);
  if (has(kExtras)) end_writing();
  return sum > 0;
}

// Writes the bytes at the front of the queue, and returns how many the kernel took.
std::size_t Stream::write_front() {
  const std::span<const std::byte> bytes = queue_->front_bytes();
  const IoResult result = has(kExtras) ? send_by_wire(bytes) : Socket::send(fd(), bytes);
  if (result.is_error()) fail(result.error());
  return result.count();
}

void Stream::send_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) {
  if (has(kClosing | kShutdown) || length == 0) return;
  if (context_->active == this) send_batch();
  if (has(kFailed)) return;
  extras();
  if (queue_ == nullptr) queue_ = std::make_unique<WriteQueue>();
  queue_->append({std::move(file), offset, length});
  const bool first = !has(kQueued);
  if (first && context_->active != this) touch(loop().start_time());
  set(kQueued);
  if (first) {
    write_queued();
    arm_timer();
  }
  if (queue_ != nullptr && queue_->has_files()) set(kHeldBack);
  update_interest();
}

// Writes a piece of the file at the front of the queue, and returns its size.
std::size_t Stream::write_file() {
  WriteQueue::FilePart& part = *queue_->front_file();
  const TimePoint now = loop().start_time();
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(part.left, kWriteTurn));
  if (before_opening() || extras_->wire.may_write(now) == 0) return 0;
  if (transport() != nullptr || part.copied) return copy_file(most);
  const IoResult result = extras_->wire.send_file(fd(), part.file.get(), part.offset, most, now);
  if (cannot_do_it(result)) {
    part.copied = true;
    return copy_file(most);
  }
  if (result.end()) {
    fail(Errc::file_truncated);
  } else if (result.is_error()) {
    fail(result.error());
  }
  if (result.count() > 0) extras_->deadlines.was_written();
  return result.count();
}

// Reads a piece of the file and writes it, for a transport or a file that sendfile(2) can't send.
// The buffer is on the stack, because the callback that sends the file may be using the loop's
// buffers.
std::size_t Stream::copy_file(std::size_t most) {
  const WriteQueue::FilePart& part = *queue_->front_file();
  std::array<std::byte, 16 * 1024> buffer;
  std::size_t sum = 0;
  while (sum < most) {
    const std::size_t wanted =
        std::min({buffer.size(), most - sum, extras_->wire.may_write(loop().start_time())});
    if (wanted == 0) return sum;
    const ssize_t count =
        ::pread(part.file.get(), buffer.data(), wanted, static_cast<off_t>(part.offset + sum));
    if (count <= 0) {
      if (count == 0) fail(Errc::file_truncated);
      if (count < 0 && errno != EINTR) fail(last_system_error());
      return sum;
    }
    const std::span<const std::byte> bytes(buffer.data(), static_cast<std::size_t>(count));
    const std::size_t written = send_by_wire(bytes).count();
    sum += written;
    if (written < bytes.size()) return sum;
  }
  return sum;
}

}  // namespace reactor
