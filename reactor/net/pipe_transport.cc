// SPDX-License-Identifier: MIT
#include "reactor/net/pipe_transport.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "reactor/net/sigpipe.h"

namespace reactor {
namespace {

IoResult not_moved(int number) noexcept {
  if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return IoResult::blocked();
  return IoResult::failed(number);
}

}  // namespace

PipeTransport::PipeTransport(int fd) noexcept
    : can_read_((::fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) {}

IoResult PipeTransport::read(int fd, std::span<std::byte> buffer) {
  const ssize_t count = ::read(fd, buffer.data(), buffer.size());
  if (count > 0) return IoResult::bytes(static_cast<std::size_t>(count));
  // A terminal that hung up (tty_ioctl(4)) is EIO: the end, too.
  if (count == 0 || errno == EIO) return IoResult::end_of_stream();
  return not_moved(errno);
}

IoResult PipeTransport::write(int fd, std::span<const std::byte> bytes) {
  SigpipeBlock block;
  const ssize_t count = ::write(fd, bytes.data(), bytes.size());
  if (count >= 0) return IoResult::bytes(static_cast<std::size_t>(count));
  const int number = errno;
  if (number == EPIPE) block.take_back();
  return not_moved(number);
}

IoResult PipeTransport::end_writing(int) { return IoResult::bytes(0); }

}  // namespace reactor
