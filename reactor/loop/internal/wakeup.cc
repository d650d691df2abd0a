// SPDX-License-Identifier: MIT
#include "reactor/loop/internal/wakeup.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "reactor/base/error.h"
#if defined(__linux__)
#include <sys/eventfd.h>
#endif

namespace reactor {
namespace {

#if defined(__linux__)

std::error_code open_ends(UniqueFd& read_end, UniqueFd&) {
  read_end.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  return read_end ? std::error_code{} : last_system_error();
}

#else

std::error_code open_ends(UniqueFd& read_end, UniqueFd& write_end) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return last_system_error();
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  for (const int fd : ends) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
      return last_system_error();
    }
  }
  return {};
}

#endif

}  // namespace

std::error_code Wakeup::open() {
  const std::error_code error = open_ends(read_end_, write_end_);
  set_fd(read_end_.get());
  return error;
}

void Wakeup::wake() noexcept {
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  const int fd = write_end_ ? write_end_.get() : read_end_.get();
  // If the pipe or counter is full, a wake-up is already on its way.
  [[maybe_unused]] const auto written = ::write(fd, &one, sizeof(one));
  errno = saved_errno;
}

void Wakeup::on_ready(Ready) {
  wakeups_.add();
  if (edge_) return;
  std::array<std::uint64_t, 64> sink;
  while (::read(read_end_.get(), sink.data(), sizeof(sink)) == sizeof(sink)) {
  }
}

HandleInfo Wakeup::describe() const noexcept { return {"wakeup", fd(), {}, {}}; }

}  // namespace reactor
