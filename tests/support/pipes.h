// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "reactor/base/unique_fd.h"

namespace reactor {

// Two ends that are connected, non-blocking and close-on-exec. Of a pipe, `near` is read from.
struct FdPair {
  UniqueFd near, far;
};

[[nodiscard]] FdPair make_pipe();
[[nodiscard]] FdPair make_socket_pair();  // unix(7), stream
// Over loopback, so that resets and half-closes are those of tcp(7).
[[nodiscard]] FdPair make_tcp_pair();

// Writes all of it; fails the test where that can't be done without waiting.
void write_text(int fd, std::string_view text);
// What is there right now, up to `limit` octets; empty at the end, on an error, and when none is.
[[nodiscard]] std::string read_text(int fd, std::size_t limit = 65536);
// Writes until the other side takes no more. Gives how much went in.
std::size_t fill(int fd);
// getsockopt(2) of a number; fails the test where there is none.
[[nodiscard]] int socket_option(int fd, int level, int name);
// Makes close() of this end of a TCP connection send a reset (SO_LINGER 0).
void reset_on_close(int fd);
// `fd` moved to exactly this number, which must be free; it is given up where it was.
[[nodiscard]] UniqueFd move_to(UniqueFd fd, int number);
// A pipe of which `near` has just this number, which must be free.
[[nodiscard]] FdPair pipe_at(int number);

}  // namespace reactor
