// SPDX-License-Identifier: MIT
#include "reactor/process/internal/unix_pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "reactor/base/error.h"

namespace reactor {

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

Result<UniqueFd> reopen_terminal(int fd) {
  std::array<char, 128> name;
  if (const int error = ::ttyname_r(fd, name.data(), name.size()); error != 0) {
    return system_error(error);
  }
  if (std::string_view(name.data()).ends_with("ptmx")) return system_error(ENOTTY);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return last_system_error();
  constexpr int kOwn = O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  const UniqueFd terminal(::open(name.data(), (flags & O_ACCMODE) | kOwn));
  if (!terminal) return last_system_error();
  return copy_descriptor(terminal.get());
}

}  // namespace reactor
