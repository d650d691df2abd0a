// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {
class Loop;
}

namespace reactor::prefork {

// From here on SIGUSR2 makes this process write to `descriptor` which callback its loop is held up
// in (kind, file:line where it was made) and a stack trace: one line, then one for each frame. It
// does so from the signal handler, while the loop is stuck; async-signal-safe. For the process's
// one loop, until stop_reports(). Private to prefork.
void report_when_stuck(Loop& loop, unsigned worker, int descriptor) noexcept;

// Before `loop` ends: the signal handler does not touch it any more. Does nothing if another loop
// is the one that is reported on.
void stop_reports(const Loop& loop) noexcept;

}  // namespace reactor::prefork
