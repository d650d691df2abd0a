// SPDX-License-Identifier: MIT
// Sockets that systemd passes. Their descriptor numbers begin at 3, so each case runs in a process
// of its own.
#include "reactor/prefork/internal/system/systemd_sockets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/fork.h"

namespace reactor::prefork {
namespace {

void pass(const char* count, const std::string& pid = std::to_string(::getpid())) {
  ::setenv("LISTEN_PID", pid.c_str(), 1);
  ::setenv("LISTEN_FDS", count, 1);
  ::setenv("LISTEN_FDNAMES", "a:b", 1);
}

void expect_no_variables() {
  for (const char* const name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) {
    EXPECT_EQ(std::getenv(name), nullptr) << name;
  }
}

TEST(SystemdSocketsFork, BeginAtNumberThreeAndAreClosedOnExec) {
  const auto checks = [] {
    for (const int fd : {3, 4, 5}) ASSERT_EQ(::dup2(STDERR_FILENO, fd), fd);
    pass("2");
    EXPECT_EQ(take_systemd_sockets(), (std::vector<int>{3, 4}));
    EXPECT_EQ(::fcntl(3, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::fcntl(4, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::fcntl(5, F_GETFD), 0) << "which was not passed";
    expect_no_variables();
    EXPECT_TRUE(take_systemd_sockets().empty()) << "a second time there are none";
  };
  EXPECT_EQ(in_child(checks), 0);
}

TEST(SystemdSocketsFork, ThoseOfAnotherProcessAreNotOurs) {
  const auto checks = [] {
    for (const std::string& pid : {std::to_string(::getppid()), std::string(), std::string("x")}) {
      pass("2", pid);
      EXPECT_TRUE(take_systemd_sockets().empty()) << pid;
      expect_no_variables();
    }
    pass("2", std::to_string(::getpid()) + "x");
    EXPECT_TRUE(take_systemd_sockets().empty());
    pass("2");
    ::unsetenv("LISTEN_PID");
    EXPECT_TRUE(take_systemd_sockets().empty());
  };
  EXPECT_EQ(in_child(checks), 0);
}

TEST(SystemdSocketsFork, ANumberThatMakesNoSenseIsNone) {
  const auto checks = [] {
    for (const char* const count :
         {"", "0", "-1", "x", "2x", "4097", "2147483647", "99999999999"}) {
      pass(count);
      EXPECT_TRUE(take_systemd_sockets().empty()) << count;
      expect_no_variables();
    }
    pass("4096");
    EXPECT_EQ(take_systemd_sockets().size(), 4096U);
  };
  EXPECT_EQ(in_child(checks), 0);
}

}  // namespace
}  // namespace reactor::prefork
