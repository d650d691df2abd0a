// SPDX-License-Identifier: MIT
// What both programs do around their worker function.
#pragma once

#include "reactor/prefork/prefork.h"
#include "servers/options.h"

namespace servers {

// What a worker of the program does; its exit status.
using Serve = int (*)(reactor::prefork::Worker& worker, const Service& service);

// Does what the arguments say: serves under prefork, mostly. The result is for main() to return.
// Prints `listening on ADDR` and `ready` to standard output, and nothing else; the log goes where
// --log says.
[[nodiscard]] int run_program(Program program, int argc, const char* const* argv, Serve serve);

}  // namespace servers
