// SPDX-License-Identifier: MIT
#include "tests/support/fork.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>

namespace reactor {
namespace {

constexpr unsigned kSecondsToLive = 20;
constexpr int kThrew = 99;

// Catches exceptions, which would otherwise take the child back into the test.
int guarded(Callback<int()>& body) {
  try {
    return body();
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "child threw: %s\n", problem.what());
    return kThrew;
  }
}

}  // namespace

pid_t spawn_child(Callback<int()> body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  EXPECT_GE(pid, 0) << "errno " << errno;
  if (pid != 0) return pid;
  ::alarm(kSecondsToLive);
  const int code = guarded(body);
  std::fflush(nullptr);
  ::_exit(code);
}

int in_child(Callback<void()> checks) {
  return wait_for_child(spawn_child([&checks] {
    checks();
    // An ASSERT_ that fails only returns from `checks`, so the exit code asks HasFailure().
    return ::testing::Test::HasFailure() ? 1 : 0;
  }));
}

pid_t spawn_sleeper() {
  return spawn_child([] {
    for (;;) ::pause();
    return 0;
  });
}

int wait_for_child(pid_t pid) {
  int status = 0;
  pid_t result = 0;
  do {
    result = ::waitpid(pid, &status, 0);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace reactor
