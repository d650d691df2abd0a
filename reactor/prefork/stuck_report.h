// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {
class Loop;
}

namespace reactor::prefork {

// From here on SIGUSR2 makes this process write to `descriptor` which callback its loop is held up
// in (kind, file:line where it was made) and a stack trace: one line, then one for each frame. It
// does so from the signal handler, while the loop is stuck; async-signal-safe. For the process's
// one loop, which outlives the use. Private to prefork.
void report_when_stuck(Loop& loop, unsigned worker, int descriptor) noexcept;

}  // namespace reactor::prefork
