// SPDX-License-Identifier: MIT
#include "reactor/base/write_line.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace reactor {
namespace {

int try_to_write(int fd, std::string_view line) noexcept {
  if (fd < 0) return EBADF;  // poll(2) passes over it
  while (!line.empty()) {
    pollfd room{fd, POLLOUT, 0};
    if (::poll(&room, 1, 0) == 0) return EAGAIN;
    const ssize_t written = ::write(fd, line.data(), line.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) line.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

int write_line(int fd, std::string_view line) noexcept {
  const int saved_errno = errno;
  const int error = try_to_write(fd, line);
  errno = saved_errno;
  return error;
}

}  // namespace reactor
