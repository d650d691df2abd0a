// SPDX-License-Identifier: MIT
// Pipes as the system makes them. Private to net/.
#pragma once

#include <unistd.h>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor {

// The lowest number that is no standard descriptor's.
inline constexpr int kFirstOther = STDERR_FILENO + 1;

struct PipeEnds {
  UniqueFd read, write;
};

// A pipe that is closed on exec, with numbers beyond standard error's. Errors: those of pipe(2).
[[nodiscard]] Result<PipeEnds> make_pipe_ends();

// A copy of `fd` that is closed on exec, with a number beyond standard error's. Errors: those of
// fcntl(2).
[[nodiscard]] Result<UniqueFd> copy_descriptor(int fd);

// The terminal that `fd` is, opened anew as it was, non-blocking and without becoming the
// controlling one: with flags of its own, so that nobody else's change. Errors:
// inappropriate_io_control_operation where it is none, or a master, whose device opens another one;
// those of ttyname(3), open(2).
[[nodiscard]] Result<UniqueFd> reopen_terminal(int fd);

}  // namespace reactor
