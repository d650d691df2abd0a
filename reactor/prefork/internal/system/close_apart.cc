// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/system/close_apart.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "reactor/prefork/internal/system/signal_pipe.h"

namespace reactor::prefork {
namespace {

[[noreturn]] void end_after(int lifeline) noexcept {
  char byte = 0;
  while (::read(lifeline, &byte, 1) < 0 && errno == EINTR) {
  }
  ::_exit(0);
}

}  // namespace

void close_apart(std::vector<UniqueFd> sockets) noexcept {
  if (sockets.empty()) return;
  const SignalBlock blocked;  // the child still has our handlers
  std::array<int, 2> ends{-1, -1};
  const pid_t child = ::pipe(ends.data()) == 0 ? ::fork() : -1;
  const UniqueFd lifeline(ends[0]);
  UniqueFd held(ends[1]);
  if (child == 0) {
    held.reset();
    end_after(lifeline.get());
  }
  if (child < 0) {
    for (UniqueFd& socket : sockets) static_cast<void>(socket.release());
    return;
  }
  sockets.clear();
  held.reset();
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace reactor::prefork
