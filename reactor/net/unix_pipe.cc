// SPDX-License-Identifier: MIT
#include "reactor/net/unix_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "reactor/base/error.h"

namespace reactor {
namespace {

constexpr int kFirstOther = STDERR_FILENO + 1;

}  // namespace

Result<UniqueFd> copy_descriptor(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, kFirstOther));
  if (!copy) return last_system_error();
  return copy;
}

Result<PipeEnds> make_pipe_ends() {
  std::array<int, 2> ends{};
#if defined(__APPLE__)
  if (::pipe(ends.data()) != 0) return last_system_error();
#else
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return last_system_error();
#endif
  PipeEnds pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  for (UniqueFd* const end : {&pipe.read, &pipe.write}) {
    ::fcntl(end->get(), F_SETFD, FD_CLOEXEC);
    if (end->get() >= kFirstOther) continue;
    Result<UniqueFd> moved = copy_descriptor(end->get());
    if (!moved) return moved.error();
    *end = std::move(*moved);
  }
  return pipe;
}

}  // namespace reactor
