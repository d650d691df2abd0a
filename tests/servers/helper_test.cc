// SPDX-License-Identifier: MIT
#include "servers/helper.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/ptrace.h>
#endif
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "reactor/base/error.h"
#include "reactor/base/unique_fd.h"
#include "servers/lookup.h"
#include "tests/support/fd_guard.h"

namespace servers {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HelperFork : public ::testing::Test {
 protected:
  // Checks that no child is left, neither running nor unreaped.
  void TearDown() override {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }

 private:
  reactor::FdGuard descriptors_;
};

TEST_F(HelperFork, TheAnswerComesBackWhole) {
  for (const std::size_t size : {0U, 1U, 300'000U}) {
    EXPECT_EQ(ask_helper([&] { return std::string(size, '.'); }, seconds(20)).value(),
              std::string(size, '.'));
  }
}

TEST_F(HelperFork, ItRunsElsewhere) {
  int here = 0;
  const auto pid = ask_helper(
      [&] {
        here = 1;
        return std::to_string(::getpid());
      },
      seconds(20));
  EXPECT_NE(pid.value(), std::to_string(::getpid()));
  EXPECT_EQ(here, 0);
}

TEST_F(HelperFork, OneThatDoesNotComeBackIsGivenUp) {
  const auto answer = ask_helper(
      []() -> std::string {
        for (;;) ::pause();
      },
      milliseconds(20));
  EXPECT_EQ(answer.error(), std::errc::timed_out);
}

#if defined(__linux__)
// This process stands for one that waits for a disk. While a tracer holds a process, its parent
// can't reap it, even after its end.
TEST_F(HelperFork, OneThatCannotBeKilledIsLeft) {
  std::array<int, 2> lifeline{};
  ASSERT_EQ(::pipe(lifeline.data()), 0);
  reactor::UniqueFd end(lifeline[0]);
  reactor::UniqueFd held(lifeline[1]);
  const reactor::TimePoint start = reactor::monotonic_now();
  const auto answer = ask_helper(
      [&]() -> std::string {
        held.reset();
        ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
        if (::fork() != 0) {
          for (;;) ::pause();
        }
        if (::ptrace(PTRACE_SEIZE, ::getppid(), nullptr, nullptr) != 0) ::_exit(1);
        char byte = 0;
        ::alarm(30);
        [[maybe_unused]] const auto count = ::read(end.get(), &byte, 1);
        ::_exit(0);
      },
      milliseconds(200));
  EXPECT_EQ(answer.error(), std::errc::timed_out);
  EXPECT_LT(reactor::monotonic_now() - start, seconds(20));
  held.reset();
  while (::waitpid(-1, nullptr, 0) > 0) {  // reaps the processes that were left
  }
}
#endif

TEST_F(HelperFork, OneThatEndsWithoutAnAnswerIsAnError) {
  const auto thrown =
      ask_helper([]() -> std::string { throw std::runtime_error("no"); }, seconds(20));
  EXPECT_EQ(thrown.error(), reactor::Errc::unexpected_end);
  const auto killed = ask_helper(
      []() -> std::string {
        ::kill(::getpid(), SIGKILL);
        return "";
      },
      seconds(20));
  EXPECT_EQ(killed.error(), reactor::Errc::unexpected_end);
}

TEST_F(HelperFork, HostsAndIdentitiesComeThroughIt) {
  const auto addresses = look_up_host("localhost", "80", false);
  ASSERT_FALSE(addresses.empty());
  for (const reactor::Address& address : addresses) EXPECT_EQ(address.port(), 80);
  EXPECT_THROW(static_cast<void>(look_up_host("no-such-host.invalid", "80", true)),
               std::runtime_error);
  const auto root = look_up_identity("0", "7");
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(root->user, 0U);
  EXPECT_EQ(root->group, 7U);
  EXPECT_FALSE(root->groups.empty());
  EXPECT_EQ(look_up_identity("no-such-user", "").error(), reactor::Errc::unknown_user);
  EXPECT_EQ(look_up_identity("", "no-such-group").error(), reactor::Errc::unknown_group);
}

}  // namespace
}  // namespace servers
