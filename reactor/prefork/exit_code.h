// SPDX-License-Identifier: MIT
#pragma once

namespace reactor::prefork {

// run() returns one of these values. The value is meant to be the result of main() as well. A
// worker process ends with kExitOk or kExitFailed.
enum ExitCode : int {
  kExitOk = 0,      // after TERM, INT or QUIT, even if the graceful timeout expired
  kExitFailed = 1,  // any other error; with workers = 0 also an exception from the worker function
  kExitUsage = 2,   // never from run(): for a program whose command line can't be used
  kExitNotReady = 3,   // no worker became ready
  kExitNoListener = 4  // an address could not be bound, or an inherited socket could not be used
};

}  // namespace reactor::prefork
