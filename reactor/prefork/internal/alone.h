// SPDX-License-Identifier: MIT
// Alone: a server in one process, without a master and workers (workers = 0). Private to prefork.
#pragma once

#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

// Serves until a signal ends it. Returns an ExitCode.
[[nodiscard]] int run_alone(Options& options, WorkerFunction& serve, ListenerTable& listeners);

}  // namespace reactor::prefork
