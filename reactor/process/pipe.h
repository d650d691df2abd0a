// SPDX-License-Identifier: MIT
// These functions open Streams on descriptors that are not sockets: pipes, FIFOs, terminals, files,
// standard input.
#pragma once

#include <memory>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/stream/stream.h"

namespace reactor {

// Opens a Stream, which is not started yet, on one end of a pipe or FIFO, or on a terminal. The
// descriptor becomes non-blocking, so no other process should use it. Its access mode decides the
// direction: if it can only be written, on_data() and on_end() are never called, and shutdown()
// closes the Stream. Regular files, /dev/null and the like work too. They are always ready. The
// loop makes one read per turn (G10), but a slow disk still blocks it. `handler` and `options` must
// outlive the Stream. Errors: bad_file_descriptor; file_exists if `fd` is watched already; those of
// pipe(2).
[[nodiscard]] Result<std::unique_ptr<Stream>> open_pipe(
    Loop& loop, UniqueFd fd, StreamHandler& handler, const StreamOptions& options,
    SourceLocation where = SourceLocation::current());

// Opens a Stream on a descriptor that other processes share, such as standard input (0), which a
// shell shares with all programs that it starts. Changes no flag of the descriptor, not even
// O_NONBLOCK, and leaves `fd` open.
//
// A terminal is opened a second time, if that is allowed. Otherwise each read and write first asks
// the kernel whether it would wait. In two cases the loop is blocked all the same. Another process
// may read the same pipe at the same moment and take the bytes; the loop then waits for more. Or
// the terminal could not be opened again and accepts no output; the loop then waits until it does.
// Everything else is as with open_pipe().
[[nodiscard]] Result<std::unique_ptr<Stream>> open_shared_pipe(
    Loop& loop, int fd, StreamHandler& handler, const StreamOptions& options,
    SourceLocation where = SourceLocation::current());

}  // namespace reactor
