// SPDX-License-Identifier: MIT
// The part of Stream that sends files. send_file() moves the bytes queued so far into the file's
// Piece, so that flush_slowly() sends all in order: for each Piece first these bytes, then the
// file.
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

void Stream::send_file(UniqueFd file, std::uint64_t offset, std::uint64_t length) {
  if (has(kClosing | kShutdown) || length == 0) return;
  if (context_->active == this) send_batch();
  if (has(kFailed)) return;
  Extras& extras = this->extras();
  extras.files.push_back({nullptr, std::move(file), offset, length});
  if (queue_ != nullptr) extras.queued_before_files += queue_->size();
  extras.files.back().before = std::move(queue_);
  const bool first = !has(kQueued);
  if (first && context_->active != this) touch(loop().start_time());
  set(kQueued);
  if (first) {
    flush_slowly();
    arm_timer();
  }
  if (!extras.files.empty()) set(kHeldBack);
  update_interest();
}

// Sends a part of the file at the front of the queue. Returns whether anything was sent.
bool Stream::send_piece() {
  Extras& extras = *extras_;
  Extras::Piece& piece = extras.files.front();
  const TimePoint now = loop().start_time();
  const std::size_t most =
      std::min(extras.write_rate.allowance(now),
               static_cast<std::size_t>(std::min<std::uint64_t>(piece.left, Extras::kTurn)));
  if (before_opening() || most == 0) return false;
  if (extras.transport != nullptr || piece.copied) return copy_piece(most);
  const IoResult result = Socket::send_file(fd(), piece.file.get(), piece.offset, most);
  if (cannot_do_it(result)) {
    piece.copied = true;
    return copy_piece(most);
  }
  if (result.end()) {
    fail(Errc::file_truncated);
  } else if (result.is_error()) {
    fail(result.error());
  }
  sent(result.count(), now);
  piece.offset += result.count();
  piece.left -= result.count();
  return result.count() > 0;
}

// Reads a part of the file and writes it, for a transport or a file that sendfile(2) can't send.
// The buffer is on the stack: the callback that sends the file may be using the loop's buffers.
bool Stream::copy_piece(std::size_t most) {
  Extras::Piece& piece = extras_->files.front();
  std::array<std::byte, 16 * 1024> buffer;
  bool moved = false;
  while (most > 0) {
    const std::size_t wanted = std::min(buffer.size(), most);
    const ssize_t count =
        ::pread(piece.file.get(), buffer.data(), wanted, static_cast<off_t>(piece.offset));
    if (count <= 0) {
      if (count == 0) fail(Errc::file_truncated);
      if (count < 0 && errno != EINTR) fail(last_system_error());
      return moved;
    }
    const std::span<const std::byte> bytes(buffer.data(), static_cast<std::size_t>(count));
    const std::size_t written = send_slowly(bytes).count();
    moved |= written > 0;
    piece.offset += written;
    piece.left -= written;
    most -= written;
    if (written < bytes.size()) return moved;
  }
  return moved;
}

}  // namespace reactor
