// SPDX-License-Identifier: MIT
// What both programs do around their worker function.
#pragma once

#include "reactor/prefork/prefork.h"
#include "servers/options.h"

namespace servers {

// Serves `options` under prefork; the result is for main() to return. Prints `listening on ADDR`
// and `ready` to standard output, and nothing else; the log goes where --log says.
[[nodiscard]] int run_program(Program program, Options options,
                              reactor::prefork::WorkerFunction serve);

}  // namespace servers
