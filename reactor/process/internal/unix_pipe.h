// SPDX-License-Identifier: MIT
// These functions make pipes and copy descriptors. Private to process/.
#pragma once

#include <unistd.h>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor {

// The lowest descriptor number after the standard ones.
inline constexpr int kFirstOther = STDERR_FILENO + 1;

struct PipeEnds {
  UniqueFd read, write;
};

// Returns a close-on-exec pipe, whose descriptors are above the standard ones. Errors: those of
// pipe(2).
[[nodiscard]] Result<PipeEnds> make_pipe_ends();

// Duplicates `fd`. The copy is close-on-exec and has a number above the standard descriptors.
// Errors: those of fcntl(2).
[[nodiscard]] Result<UniqueFd> copy_descriptor(int fd);

// Opens the terminal of `fd` a second time, in the same access mode, non-blocking and not as the
// controlling terminal. The new descriptor has flags of its own, so setting them changes nothing
// for other processes. Errors: inappropriate_io_control_operation if `fd` is no terminal, or is the
// master side of one (opening its device would make a new terminal); those of ttyname(3), open(2).
[[nodiscard]] Result<UniqueFd> reopen_terminal(int fd);

}  // namespace reactor
