// SPDX-License-Identifier: MIT
// What an old program leaves a new one, and what is made of nonsense.
#include "reactor/prefork/upgrade.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "tests/support/fd_guard.h"

namespace reactor::prefork {
namespace {

class InheritanceTest : public ::testing::Test {
 protected:
  InheritanceTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    old_.reset(ends[0]);
    fresh_ = ends[1];
  }
  ~InheritanceTest() override { ::unsetenv(Upgrade::kName); }

  // What take() makes of it.
  Inheritance take(const std::string& text) {
    EXPECT_EQ(::write(old_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::shutdown(old_.get(), SHUT_WR);
    ::setenv(Upgrade::kName, std::to_string(fresh_).c_str(), 1);
    return Inheritance::take();
  }

  FdGuard guard_;
  UniqueFd old_;
  int fresh_ = -1;
};

TEST_F(InheritanceTest, IsEmptyWhereThereIsNone) {
  UniqueFd unused(fresh_);
  Inheritance none = Inheritance::take();
  EXPECT_FALSE(none);
  EXPECT_TRUE(none.take_groups("127.0.0.1:80").empty());
  EXPECT_TRUE(none.take_mailboxes().empty());
  none.say_ready();
}

TEST_F(InheritanceTest, GivesEachGroupOnceAndClosesTheRest) {
  std::array<int, 5> fds{};
  for (int& fd : fds) fd = ::dup(old_.get());
  const auto number = [&](std::size_t i) { return std::to_string(fds[i]); };
  Inheritance earlier =
      take("group 1 " + number(0) + "," + number(1) + " 127.0.0.1:80\n" + "group 0 " + number(2) +
           " unix:/a path with blanks\n" + "mailboxes " + number(3) + "," + number(4) + "\nend\n");
  ASSERT_TRUE(earlier);
  EXPECT_EQ(std::getenv(Upgrade::kName), nullptr);
  const std::vector<ListenerGroup> found = earlier.take_groups("127.0.0.1:80");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].balanced);
  EXPECT_EQ(found[0].descriptors, (std::vector<int>{fds[0], fds[1]}));
  EXPECT_NE(::fcntl(fds[0], F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_TRUE(earlier.take_groups("127.0.0.1:80").empty());
  EXPECT_EQ(earlier.take_mailboxes().size(), 1U);
  earlier.close_rest();
  EXPECT_TRUE(earlier.take_groups("unix:/a path with blanks").empty());
  earlier.say_ready();
  char octet = 0;
  EXPECT_EQ(::read(old_.get(), &octet, 1), 1);
  EXPECT_EQ(octet, 'R');
  for (const int fd : {fds[0], fds[1]}) UniqueFd(fd).reset();
}

TEST_F(InheritanceTest, IgnoresNonsense) {
  for (const std::string text :
       {"", "end", "end\n", "group\nend\n", "group 1 x a:1\nend\n", "group 1 999999 a:1\nend\n",
        "group 1  a:1\nend\n", "mailboxes 0\nend\n", "hello\nend\n", "mailboxes 0,0\nen"}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    UniqueFd(fresh_).reset();
    old_.reset(ends[0]);
    fresh_ = ends[1];
    Inheritance none = take(text);
    EXPECT_FALSE(none) << text;
    fresh_ = -1;
  }
}

TEST_F(InheritanceTest, IgnoresWhatIsNoDescriptor) {
  UniqueFd unused(fresh_);
  for (const char* const value : {"", "x", "-1", "99999", "3x"}) {
    ::setenv(Upgrade::kName, value, 1);
    EXPECT_FALSE(Inheritance::take()) << value;
    EXPECT_EQ(std::getenv(Upgrade::kName), nullptr);
  }
}

}  // namespace
}  // namespace reactor::prefork
