// SPDX-License-Identifier: MIT
#include "reactor/process/pipe_transport.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "reactor/base/internal/sigpipe.h"

namespace reactor {
namespace {

IoResult not_moved(int number) noexcept {
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return IoResult::blocked();
  return IoResult::failed(number);
}

// Returns whether `fd` is a file or a block device. For these, EIO means lost data; on a terminal,
// EIO means a hang-up (tty_ioctl(4)).
bool is_storage(int fd) noexcept {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

}  // namespace

PipeTransport::PipeTransport(int fd) noexcept
    : can_read_((::fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) {}

IoResult PipeTransport::read(int fd, std::span<std::byte> buffer) {
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  if (count > 0) return IoResult::bytes(static_cast<std::size_t>(count));
  if (count == 0) return IoResult::end_of_stream();
  const int number = errno;
  if (number == EIO && !is_storage(fd)) return IoResult::end_of_stream();
  return not_moved(number);
}

IoResult PipeTransport::write(int fd, std::span<const std::byte> bytes) {
  SigpipeBlock block;
  const ssize_t count = ::write(fd, bytes.data(), bytes.size());
  block.take_back(count, bytes.size());
  return count >= 0 ? IoResult::bytes(static_cast<std::size_t>(count)) : not_moved(errno);
}

IoResult PipeTransport::end_writing(int) noexcept { return IoResult::bytes(0); }

}  // namespace reactor
