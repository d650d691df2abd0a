// SPDX-License-Identifier: MIT
// run_program() is the code that both programs share: everything except their worker functions.
#pragma once

#include "reactor/prefork/prefork.h"
#include "servers/settings/options.h"

namespace servers {

// The function that a worker runs. Returns the worker's exit status.
using Serve = int (*)(reactor::prefork::Worker& worker, const Service& service);

// Runs the program with its arguments. It serves under prefork, unless an option says otherwise.
// The result is for main() to return. A server prints `listening on ADDR` and `ready` to standard
// output, and nothing else; the log goes to the place that --log names.
[[nodiscard]] int run_program(Program program, int argc, const char* const* argv, Serve serve);

}  // namespace servers
