// SPDX-License-Identifier: MIT
// Closes sockets without waiting. If SO_LINGER is set on a socket, close(2) of its last copy can
// wait for as long as another process likes. The same applies to a unix socket whose queue holds
// such a socket, which a client or a worker sent. Private to prefork.
#pragma once

#include <vector>

#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// A process that exits never waits for a socket (socket(7), SO_LINGER). So this function forks a
// child that holds copies of the sockets, and closes the sockets in this process. Then the child
// exits, and this process waits for its exit. If fork(2) fails, the sockets stay open until this
// process ends. Thread: the only one of the process. Errors: none.
void close_apart(std::vector<UniqueFd> sockets) noexcept;

}  // namespace reactor::prefork
