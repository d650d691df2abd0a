// SPDX-License-Identifier: MIT
// What a test does with processes. Names of tests that use it contain Fork, Child or Death: the
// thread sanitizer's run leaves those out.
#pragma once

#include <sys/types.h>

#include "reactor/base/callback.h"

namespace reactor {

// Forks. The child runs `checks`, in which EXPECT_ and ASSERT_ work, and leaves by _exit(2).
// Gives 0 where nothing failed there, 1 where something did, 128 + the signal that killed it. One
// that hangs is killed by SIGALRM.
[[nodiscard]] int in_child(Callback<void()> checks);

// Forks a child that runs `body` and leaves with what that returns. The caller waits for it.
[[nodiscard]] pid_t spawn_child(Callback<int()> body);
// One that sleeps until it is killed.
[[nodiscard]] pid_t spawn_sleeper();
// Waits for `pid`: its exit code, or 128 + the signal; -1 where there is no such child.
int wait_for_child(pid_t pid);

}  // namespace reactor
