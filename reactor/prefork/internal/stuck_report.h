// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {
class Loop;
}

namespace reactor::prefork {

// From here on SIGUSR2 makes this process write to `descriptor` which callback its loop is stuck in
// (kind, and file:line where it was made), and a stack trace: one line, then one for each frame.
// The signal handler writes it while the loop is stuck, and calls only what is async-signal-safe.
// For the one loop of the process, until stop_reports(). Private to prefork.
void report_when_stuck(Loop& loop, unsigned worker, int descriptor) noexcept;

// Call it before `loop` is destroyed: the signal handler does not touch it any more. Does nothing
// if the reports are about another loop.
void stop_reports(const Loop& loop) noexcept;

}  // namespace reactor::prefork
