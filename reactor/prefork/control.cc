// SPDX-License-Identifier: MIT
#include "reactor/prefork/control.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "reactor/base/error.h"
#include "reactor/net/fd_passing.h"

namespace reactor::prefork {
namespace {

using Octets = std::array<std::byte, sizeof(Message)>;

}  // namespace

// A stream, as the end of file must be seen everywhere. What is sent is so small that it is never
// cut: it goes into the buffer as one piece, or not at all.
Result<std::pair<Control, Control>> Control::make_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) return last_system_error();
  std::pair<Control, Control> pair{Control(UniqueFd(ends[0])), Control(UniqueFd(ends[1]))};
  for (const int fd : ends) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || ::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
      return last_system_error();
    }
  }
  return pair;
}

bool Control::send(const Message& message, int descriptor) const noexcept {
  Octets octets;
  std::memcpy(octets.data(), &message, sizeof message);
  return send_with_descriptor(fd_.get(), octets, descriptor).moved(octets.size());
}

Control::Received Control::receive() const noexcept {
  Octets octets;
  Received received;
  const IoResult result = receive_with_descriptor(fd_.get(), octets, received.descriptor);
  // A message that came without its descriptor means nothing; the connection goes on.
  const bool lost = result.error() == std::errc::too_many_files_open;
  if (result.would_block() || lost) return received;
  if (!result.moved(octets.size())) {
    received.ended = true;
    return received;
  }
  received.message.emplace();
  std::memcpy(&*received.message, octets.data(), octets.size());
  return received;
}

}  // namespace reactor::prefork
