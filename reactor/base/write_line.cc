// SPDX-License-Identifier: MIT
// write_line() must not wait, but it can't rely on O_NONBLOCK: another process that shares the file
// may change that flag. So each kind of file has its own way to write only if there is room:
//
//   socket    send(2) with MSG_DONTWAIT
//   pipe      pwritev2(2) with RWF_NOWAIT, if the kernel has it for pipes
//   others    poll(2), then write(2); another writer may take the room in between
#include "reactor/base/write_line.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "reactor/base/internal/send_flags.h"

namespace reactor {
namespace {

#if defined(RWF_NOWAIT)
// RWF_NOWAIT is used for pipes only: on a file that is not in memory the write would fail.
bool is_pipe(int fd) noexcept {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

ssize_t write_to_pipe(int fd, std::string_view line) noexcept {
  const iovec part{const_cast<char*>(line.data()), line.size()};
  return ::pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
}
#else
bool is_pipe(int) noexcept { return false; }
ssize_t write_to_pipe(int, std::string_view) noexcept { return -1; }
#endif

ssize_t write_now(int fd, std::string_view line) noexcept {
  const ssize_t sent = ::send(fd, line.data(), line.size(), kSendNow);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  if (is_pipe(fd)) {
    const ssize_t written = write_to_pipe(fd, line);
    // Any other error means that this kernel has no RWF_NOWAIT for pipes: use poll(2) instead.
    if (written >= 0 || errno == EAGAIN || errno == EPIPE) return written;
  }
  pollfd room{fd, POLLOUT, 0};
  if (::poll(&room, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(fd, line.data(), line.size());
}

int try_to_write(int fd, std::string_view line) noexcept {
  while (!line.empty()) {
    const ssize_t written = write_now(fd, line);
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
