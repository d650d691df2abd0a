// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

namespace reactor::prefork {

// Returns the numbers of the descriptors that systemd passed to this process, in its order; empty
// if it passed none (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES). The caller owns
// them from then on, and they are close-on-exec. The variables are removed, so that a second call
// finds none. Call it before other threads start, because it changes the environment. Private to
// prefork.
[[nodiscard]] std::vector<int> take_systemd_sockets();

}  // namespace reactor::prefork
