// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace reactor {

// The longest line that a pipe takes as a whole or not at all (PIPE_BUF of Linux, pipe(7)).
inline constexpr std::size_t kLongestLine = 4096;

// Writes `line` without waiting. The line ends in a line feed and has at most kLongestLine bytes.
// If a pipe, a terminal or a socket has no room for it, it is not written. It is normally one
// write; another one follows only if the first took a part of the line (a full disk), to learn the
// reason.
//
// Returns 0, or an errno value: EAGAIN if there was no room. After an error, a file or a socket may
// hold a part of the line. Async-signal-safe; keeps errno.
//
// The flag O_NONBLOCK, which another process may change, does not matter for sockets and, on Linux
// 6.4 and later, for pipes without a name. On a FIFO, a terminal or a pipe of another system the
// call can wait if O_NONBLOCK is off: another writer may take the room after this one has found it.
[[nodiscard]] int write_line(int fd, std::string_view line) noexcept;

}  // namespace reactor
