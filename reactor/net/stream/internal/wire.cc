// SPDX-License-Identifier: MIT
#include "reactor/net/stream/internal/wire.h"

#include <algorithm>

namespace reactor {

IoResult Wire::receive(int fd, std::span<std::byte> buffer, TimePoint now) {
  buffer = buffer.first(std::min(buffer.size(), may_read(now)));
  if (buffer.empty()) return IoResult::blocked();
  const IoResult result =
      transport_ == nullptr ? Socket::receive(fd, buffer) : transport_->read(fd, buffer);
  if (!result.ok()) return result;
  if (result.count() == 0) return IoResult::blocked();  // as transports may say it
  bytes_read_ += result.count();
  read_rate_.took(result.count(), now);
  return result;
}

IoResult Wire::send(int fd, std::span<const std::byte> bytes, TimePoint now) {
  bytes = bytes.first(std::min(bytes.size(), may_write(now)));
  if (bytes.empty()) return IoResult::blocked();
  const IoResult result =
      transport_ == nullptr ? Socket::send(fd, bytes) : transport_->write(fd, bytes);
  count_written(result, now);
  return result;
}

IoResult Wire::send_file(int fd, int file, std::uint64_t offset, std::size_t count, TimePoint now) {
  count = std::min(count, may_write(now));
  if (count == 0) return IoResult::blocked();
  const IoResult result = Socket::send_file(fd, file, offset, count);
  count_written(result, now);
  return result;
}

void Wire::count_written(IoResult result, TimePoint now) noexcept {
  if (result.count() == 0) return;
  bytes_written_ += result.count();
  write_rate_.took(result.count(), now);
}

std::error_code Wire::error(IoResult failed) const noexcept {
  if (failed.end()) return std::make_error_code(std::errc::connection_reset);
  return transport_ == nullptr ? failed.error() : transport_->error(failed);
}

}  // namespace reactor
