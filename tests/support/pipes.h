// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "reactor/base/unique_fd.h"

namespace reactor {

// Two connected ends, non-blocking and close-on-exec. In a pipe, `near` is the read end.
struct FdPair {
  UniqueFd near, far;
};

[[nodiscard]] FdPair make_pipe();
[[nodiscard]] FdPair make_socket_pair();  // unix(7), stream
// Connects over loopback, so that resets and half-closes are those of tcp(7).
[[nodiscard]] FdPair make_tcp_pair();

// Writes all of `text`. Fails the test if that would block.
void write_text(int fd, std::string_view text);
// Reads the bytes that are there right now, up to `limit`. Returns "" at the end, on an error, and
// if there are none.
[[nodiscard]] std::string read_text(int fd, std::size_t limit = 65536);
// Writes until the kernel takes no more. Returns the number of bytes.
std::size_t fill(int fd);
// Returns an int option of getsockopt(2). Fails the test if there is no such option.
[[nodiscard]] int socket_option(int fd, int level, int name);
// Makes close() of this end of a TCP connection send a reset (SO_LINGER 0).
void reset_on_close(int fd);
// Moves `fd` to exactly this number, which must be free, and closes the old number.
[[nodiscard]] UniqueFd move_to(UniqueFd fd, int number);
// Makes a pipe whose `near` has exactly this number, which must be free.
[[nodiscard]] FdPair pipe_at(int number);

}  // namespace reactor
