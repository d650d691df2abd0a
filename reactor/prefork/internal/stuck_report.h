// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {
class Loop;
}

namespace reactor::prefork {

// After this call, SIGUSR2 makes this process write a report to `descriptor`. The first line names
// the callback that blocks `loop` (its kind, and file:line where its handle was made). A stack
// trace follows, with one line for each frame. The signal handler interrupts the blocked callback,
// so it calls only functions that are async-signal-safe. Works for one loop per process, until
// stop_reports(). `worker` is the worker's number in the report. Private to prefork.
void report_when_stuck(Loop& loop, unsigned worker, int descriptor) noexcept;

// Ends the reports about `loop`, so that the signal handler no longer touches it. Call this before
// `loop` is destroyed. Does nothing if the reports are about another loop.
void stop_reports(const Loop& loop) noexcept;

}  // namespace reactor::prefork
