// SPDX-License-Identifier: MIT
// These functions make child processes for tests. A test that uses them has Fork, Child or Death in
// its name, because the run with the thread sanitizer leaves those out.
#pragma once

#include <sys/types.h>

#include "reactor/base/callback.h"

namespace reactor {

// Forks. The child runs `checks`, in which EXPECT_ and ASSERT_ work, and leaves by _exit(2).
// Returns 0 if all checks passed, 1 if one failed, or 128 + the number of the signal that killed
// the child. SIGALRM kills a child that hangs.
[[nodiscard]] int in_child(Callback<void()> checks);

// Forks a child that runs `body` and exits with the code that `body` returns. The caller waits for
// the child.
[[nodiscard]] pid_t spawn_child(Callback<int()> body);
// Forks a child that sleeps until it is killed.
[[nodiscard]] pid_t spawn_sleeper();
// Waits for `pid`. Returns its exit code, or 128 + the number of the signal that killed it, or -1
// if there is no such child.
int wait_for_child(pid_t pid);

}  // namespace reactor
