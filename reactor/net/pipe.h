// SPDX-License-Identifier: MIT
// Streams on what is no socket: pipes, FIFOs, terminals, files, standard input.
#pragma once

#include <memory>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/net/stream.h"

namespace reactor {

// A Stream on one end of a pipe or FIFO, or a terminal, which becomes non-blocking: it should be
// nobody else's. The access mode says which way it goes; one that can only be written never calls
// on_data() or on_end(), and its shutdown() is its close(). A regular file, /dev/null and the like
// work too: they are ready at all times, and each read is a turn of its own (G10), but a slow disk
// holds the loop up. Not started yet. `handler` and `options` outlive the Stream.
// Errors: bad_file_descriptor, file_exists where `fd` is watched already, those of pipe(2).
[[nodiscard]] Result<std::unique_ptr<Stream>> open_pipe(
    Loop& loop, UniqueFd fd, StreamHandler& handler, const StreamOptions& options,
    SourceLocation where = SourceLocation::current());

// A Stream on a descriptor that is others' too, such as standard input (0), which a shell shares
// with all that it starts: their flags are left alone, O_NONBLOCK above all, and `fd` stays open.
// A terminal is opened a second time, where that is allowed. Else each read and write asks first
// whether it would have to wait. That holds unless somebody else reads the same pipe at the same
// moment, and takes what was there: then the loop waits for more; and a terminal that could not be
// opened may hold the loop up for as long as it takes nothing. As open_pipe() else.
[[nodiscard]] Result<std::unique_ptr<Stream>> open_shared_pipe(
    Loop& loop, int fd, StreamHandler& handler, const StreamOptions& options,
    SourceLocation where = SourceLocation::current());

}  // namespace reactor
