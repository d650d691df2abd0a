// SPDX-License-Identifier: MIT
#include "reactor/base/internal/descriptors.h"

#include <fcntl.h>

#include "reactor/base/unique_fd.h"

namespace reactor {

bool make_private(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int lowest_free_descriptor(int any) noexcept {
  const UniqueFd copy(::fcntl(any, F_DUPFD_CLOEXEC, 0));
  return copy.get();
}

}  // namespace reactor
