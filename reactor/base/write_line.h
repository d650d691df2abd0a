// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace reactor {

// The longest line that a pipe takes as a whole or not at all (PIPE_BUF of Linux, pipe(7)).
inline constexpr std::size_t kLongestLine = 4096;

// Writes `line` without waiting. The line ends in a line feed and has at most kLongestLine bytes.
// If a pipe, a terminal or a socket has no room, nothing is written. If a write takes only a part
// of the line (the disk is full), the rest is tried again, to learn the reason.
//
// Returns 0, or an errno value: EAGAIN if there was no room. After an error, a part of the line may
// have been written. Async-signal-safe; keeps errno.
//
// Another process that shares the file may turn O_NONBLOCK off. Even then this call never waits on
// a socket, nor on an unnamed pipe of Linux 6.4 or later. On a FIFO, a terminal or the pipe of
// another system it can then wait, because another writer may take the room after this call has
// seen it.
[[nodiscard]] int write_line(int fd, std::string_view line) noexcept;

}  // namespace reactor
