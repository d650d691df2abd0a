// SPDX-License-Identifier: MIT
// Closing sockets without waiting. If this process held the last copy of a socket, close(2) could
// wait in it for as long as another process likes: SO_LINGER may be set on a TCP socket, and on one
// that lies in the queue of a unix socket, where a client or a worker sent it. Private to prefork.
#pragma once

#include <vector>

#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// A process that ends never waits for a socket (socket(7), SO_LINGER). So a child is forked, which
// holds copies until these here are closed, and then ends; this process waits for it. If there can
// be no child, the sockets stay open until this process ends.
// Thread: the only one of the process. Errors: none.
void close_apart(std::vector<UniqueFd> sockets) noexcept;

}  // namespace reactor::prefork
