// SPDX-License-Identifier: MIT
#include "reactor/base/internal/sigpipe.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "reactor/base/unique_fd.h"
#include "tests/support/fork.h"

namespace reactor {
namespace {

volatile std::sig_atomic_t g_caught = 0;

void count_signal(int) { g_caught = g_caught + 1; }

sigset_t only_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  return set;
}

void block_sigpipe() {
  const sigset_t set = only_sigpipe();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool is_blocked() {
  sigset_t mask;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, SIGPIPE) == 1;
}

bool is_pending() {
  sigset_t pending;
  ::sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

// Writes to a pipe without a reader, inside a SigpipeBlock. Returns whether it failed with EPIPE,
// which take_back() has to keep.
bool write_to_nobody() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return false;
  ::close(ends[0]);
  const UniqueFd writer(ends[1]);
  SigpipeBlock block;
  const ssize_t count = ::write(writer.get(), "xy", 2);
  block.take_back(count, 2);
  return count == -1 && errno == EPIPE;
}

// Each test runs in a child, because a signal that is not taken back ends the process. The child
// returns 0 if `test` returns true.
template <class Test>
int in_child(Test&& test) {
  return wait_for_child(spawn_child([&] {
    ::alarm(20);
    std::signal(SIGPIPE, SIG_DFL);
    return test() ? 0 : 1;
  }));
}

TEST(SigpipeFork, AWriteToNobodyOnlyFails) {
  EXPECT_EQ(in_child([] { return write_to_nobody() && !is_blocked() && !is_pending(); }), 0);
}

TEST(SigpipeFork, ABlockedSignalStaysBlocked) {
  EXPECT_EQ(in_child([] {
              block_sigpipe();
              return write_to_nobody() && is_blocked() && !is_pending();
            }),
            0);
}

TEST(SigpipeFork, ASignalThatWasPendingStaysPending) {
  EXPECT_EQ(in_child([] {
              block_sigpipe();
              ::raise(SIGPIPE);
              return write_to_nobody() && is_pending();
            }),
            0);
}

TEST(SigpipeFork, AnIgnoredSignalIsNotWaitedFor) {
  EXPECT_EQ(in_child([] {
              std::signal(SIGPIPE, SIG_IGN);
              return write_to_nobody() && !is_pending();
            }),
            0);
}

// Returns how often a SIGPIPE comes that was raised before the call returned `count` of 2 bytes.
int caught_after(ssize_t count, int error) {
  return wait_for_child(spawn_child([&] {
    ::alarm(20);
    std::signal(SIGPIPE, &count_signal);
    {
      SigpipeBlock block;
      ::raise(SIGPIPE);
      errno = error;
      block.take_back(count, 2);
      if (errno != error) return 9;
    }
    return static_cast<int>(g_caught);
  }));
}

TEST(SigpipeFork, OnlyACallThatFellShortMayHaveRaisedIt) {
  EXPECT_EQ(caught_after(-1, EPIPE), 0);
  EXPECT_EQ(caught_after(1, 0), 0);
  EXPECT_EQ(caught_after(2, 0), 1) << "the call wrote everything";
  EXPECT_EQ(caught_after(-1, EAGAIN), 1) << "another error";
}

}  // namespace
}  // namespace reactor
