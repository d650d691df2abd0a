// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace reactor {

// The longest line that a pipe takes whole or not at all (PIPE_BUF of Linux, pipe(7)).
inline constexpr std::size_t kLongestLine = 4096;

// Writes `line`, which ends in a line feed and has at most kLongestLine bytes, and does not wait
// for a pipe, a terminal or a socket that has no room: the line is not written then. One write(2),
// and another only after one that took a part (a disk that is full), to learn the reason. If others
// write to the same pipe and its flag O_NONBLOCK is off, one of them can take the room in between,
// and write(2) waits after all; open such a pipe anew with that flag. Returns 0, or the errno:
// EAGAIN for no room. A file may hold a part of the line then. Async-signal-safe; keeps errno.
[[nodiscard]] int write_line(int fd, std::string_view line) noexcept;

}  // namespace reactor
