// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace reactor {

// The longest line that a pipe takes whole or not at all (PIPE_BUF of Linux, pipe(7)).
inline constexpr std::size_t kLongestLine = 4096;

// Writes `line`, which ends in a line feed and has at most kLongestLine bytes, and does not wait
// for a pipe, a terminal or a socket that has no room: the line is not written then. It is written
// by one call, and another one only after a part of it was taken (a disk that is full), to learn
// the reason. The flag O_NONBLOCK, which another process may change, does not matter for sockets,
// and on Linux 6.4 and later not for pipes without a name. If it is off for a FIFO, a terminal, or
// a pipe of another system, another writer can take the room after it was found, and the call waits
// after all. Returns 0, or the errno: EAGAIN for no room. A file or a socket may hold a part of the
// line then. Async-signal-safe; keeps errno.
[[nodiscard]] int write_line(int fd, std::string_view line) noexcept;

}  // namespace reactor
