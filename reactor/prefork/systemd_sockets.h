// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

namespace reactor::prefork {

// The numbers of the descriptors that systemd passed to this process, in its order; none where it
// passed none (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES). They are the caller's
// from then on and close-on-exec; the variables are removed, so a second call finds none. Changes
// the environment: before there are other threads. Private to prefork.
[[nodiscard]] std::vector<int> take_systemd_sockets();

}  // namespace reactor::prefork
