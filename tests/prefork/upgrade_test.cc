// SPDX-License-Identifier: MIT
// Upgrades: the sockets that an old program leaves to a new one, malformed messages about them, and
// the old program's side.
#include "reactor/prefork/internal/upgrade.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>

#include "tests/support/fd_guard.h"
#include "tests/support/fork.h"
#include "tests/support/log_capture.h"
#include "tests/support/pipes.h"
#include "tests/support/run.h"

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

  // Returns the result of take() for `text`.
  Inheritance take(const std::string& text, bool no_more = false) {
    EXPECT_EQ(::write(old_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    if (no_more) ::shutdown(old_.get(), SHUT_WR);
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
  char byte = 0;
  EXPECT_EQ(::read(old_.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'R');
  EXPECT_FALSE(earlier.end_of_earlier());
  for (const int fd : {fds[0], fds[1]}) UniqueFd(fd).reset();  // these are copies of this end, too
  old_.reset();
  EXPECT_TRUE(earlier.end_of_earlier());
  EXPECT_FALSE(earlier);
}

TEST_F(InheritanceTest, TheEndOfTheEarlierProgramCountsOnlyOnceWeCouldServe) {
  Inheritance earlier = take("mailboxes \nend\n");
  ASSERT_TRUE(earlier);
  old_.reset();
  EXPECT_EQ(earlier.fd(), -1);
  EXPECT_FALSE(earlier.end_of_earlier());
  earlier.say_ready();  // no process reads it, but no SIGPIPE comes
  EXPECT_GE(earlier.fd(), 0);
  EXPECT_TRUE(earlier.end_of_earlier());
  EXPECT_FALSE(earlier.end_of_earlier());
}

TEST_F(InheritanceTest, NonsenseIsNothingToGoOnWithout) {
  for (const std::string text :
       {"", "end", "end\n", "group\nend\n", "group 1 x a:1\nend\n", "group 1 999999 a:1\nend\n",
        "group 1  a:1\nend\n", "mailboxes 0\nend\n", "hello\nend\n", "mailboxes 0,0\nen"}) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    UniqueFd(fresh_).reset();
    old_.reset(ends[0]);
    fresh_ = ends[1];
    Inheritance none = take(text, true);
    EXPECT_FALSE(none) << text;
    EXPECT_TRUE(none.broken()) << text;
    fresh_ = -1;
  }
}

TEST_F(InheritanceTest, IgnoresWhatIsNoUnixSocket) {
  UniqueFd unused(fresh_);
  const FdPair pipe = make_pipe();
  const std::string number = std::to_string(pipe.near.get());
  for (const std::string& value : {std::string(), std::string("x"), std::string("-1"),
                                   std::string("99999"), std::string("3x"), number}) {
    ::setenv(Upgrade::kName, value.c_str(), 1);
    const Inheritance none = Inheritance::take();
    EXPECT_FALSE(none) << value;
    EXPECT_FALSE(none.broken()) << value;
    EXPECT_EQ(std::getenv(Upgrade::kName), nullptr);
  }
}

// ---- The old program's side ----

class UpgradeTest : public ::testing::Test {
 protected:
  void start(const std::string& script, Duration limit = {}) {
    ASSERT_FALSE(upgrade_.start({{"/bin/sh", "-c", script}, {}, {}}, {}, limit));
    pid_ = upgrade_.pid();
  }
  // Returns the next news other than `none`, or `none` after kLimit of real time.
  Upgrade::News next() {
    for (const TimePoint end = monotonic_now() + kLimit; monotonic_now() < end;) {
      if (const auto news = turn(); news != Upgrade::News::none) return news;
    }
    return Upgrade::News::none;
  }
  Upgrade::News turn() {
    pollfd wait{upgrade_.fd(), POLLIN, 0};
    ::poll(&wait, 1, 5);
    clock_.plan(kForever);
    clock_.begin_turn(monotonic_now() + ahead_);
    return upgrade_.look();
  }
  void expect_failure(const std::string& how) {
    ASSERT_EQ(next(), Upgrade::News::failed);
    EXPECT_EQ(upgrade_.failure(),
              "process " + std::to_string(pid_) + " " + how + " before it took over");
    EXPECT_FALSE(upgrade_.running());
    EXPECT_EQ(upgrade_.fd(), -1);
    EXPECT_EQ(upgrade_.next_turn(), TimePoint::max());
    EXPECT_EQ(::kill(pid_, 0), -1);  // it was waited for
  }

  FdGuard guard_;
  LogCapture log_;
  Duration ahead_{};
  RunClock clock_{monotonic_now()};
  Upgrade upgrade_{clock_};
  pid_t pid_ = 0;
};

TEST_F(UpgradeTest, AProgramThatEndsHasFailed) {
  start("exit 3");
  expect_failure("exited with 3");
}

TEST_F(UpgradeTest, OneThatClosesTheChannelAndGoesOnIsAskedToEnd) {
  start("eval \"exec $REACTOR_UPGRADE<&-\"; exec sleep 60");
  for (int i = 0; i < 2000 && upgrade_.fd() >= 0; ++i) ASSERT_EQ(turn(), Upgrade::News::none);
  EXPECT_EQ(upgrade_.next_turn(), clock_.now() + std::chrono::seconds(2));
  ahead_ = std::chrono::seconds(3);
  expect_failure("was killed by signal 15");
  EXPECT_TRUE(log_.contains("closed its channel without becoming ready and is ended"));
}

TEST_F(UpgradeTest, OneThatIsLateIsAskedToEnd) {
  start("exec sleep 60", std::chrono::seconds(5));
  EXPECT_EQ(upgrade_.next_turn(), clock_.now() + std::chrono::seconds(5));
  ahead_ = std::chrono::seconds(6);
  expect_failure("was killed by signal 15");
  EXPECT_TRUE(log_.contains("is not ready in time"));
}

TEST_F(UpgradeTest, OneThatDoesNotListenIsKilled) {
  start("trap '' TERM; printf R >&$REACTOR_UPGRADE; while :; do sleep 1; done");
  ASSERT_EQ(next(), Upgrade::News::ready);  // by now it ignores TERM
  upgrade_.cancel("comes too late");
  EXPECT_EQ(upgrade_.fd(), -1);
  EXPECT_EQ(upgrade_.next_turn(), clock_.now() + std::chrono::seconds(2));
  ahead_ = std::chrono::seconds(3);
  expect_failure("was killed by signal 9");
}

TEST_F(UpgradeTest, OneThatIsReadyWaitsUntilItIsLetGo) {
  start("printf R >&$REACTOR_UPGRADE; eval \"read line <&$REACTOR_UPGRADE\"; exec sleep 60");
  ASSERT_EQ(next(), Upgrade::News::ready);
  EXPECT_TRUE(upgrade_.running());
  upgrade_.let_go();
  EXPECT_FALSE(upgrade_.running());
  EXPECT_EQ(::kill(pid_, SIGKILL), 0);
  EXPECT_EQ(wait_for_child(pid_), 128 + SIGKILL);
}

TEST_F(UpgradeTest, OneThatIsReadyNamesTheGroupsThatItDoesNotHave) {
  start("printf R0,12 >&$REACTOR_UPGRADE; exec sleep 60");
  ASSERT_EQ(next(), Upgrade::News::ready);
  EXPECT_EQ(upgrade_.dropped(), (std::vector<int>{0, 12}));
  upgrade_.cancel("comes too late");
  expect_failure("was killed by signal 15");
  for (const char* text : {"R", "Rx", "R1,x"}) {
    start(std::string("printf ") + text + " >&$REACTOR_UPGRADE; exec sleep 60");
    ASSERT_EQ(next(), Upgrade::News::ready);
    EXPECT_TRUE(upgrade_.dropped().empty()) << text;
    upgrade_.cancel("comes too late");
    expect_failure("was killed by signal 15");
  }
}

// The old program may have to tell its service manager first.
TEST_F(UpgradeTest, OneThatIsReadyButNotLetGoInTimeIsAskedToEnd) {
  start("printf R >&$REACTOR_UPGRADE; exec sleep 60", std::chrono::seconds(5));
  ASSERT_EQ(next(), Upgrade::News::ready);
  EXPECT_EQ(turn(), Upgrade::News::ready) << "until let_go()";
  EXPECT_LT(upgrade_.next_turn(), clock_.now() + std::chrono::seconds(1));
  ahead_ = std::chrono::seconds(6);
  expect_failure("was killed by signal 15");
  EXPECT_TRUE(log_.contains("can't be told in time, and is ended"));
}

// Variables with the pid of the old program must have that of the new one.
TEST_F(UpgradeTest, VariablesWithOurPidAreTheNewProgramS) {
  const std::string own = std::to_string(::getpid());
  for (const char* name : {"WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID"}) {
    ::setenv(name, own.c_str(), 1);
  }
  start("[ $WATCHDOG_PID = $$ ] && [ $LISTEN_PID = $$ ] && [ -z \"$LISTEN_PIDFDID\" ] && exit 42");
  expect_failure("exited with 42");
  ::setenv("WATCHDOG_PID", "1", 1);  // the pid of another process
  start("[ $WATCHDOG_PID = 1 ] && exit 42");
  expect_failure("exited with 42");
  for (const char* name : {"WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID"}) ::unsetenv(name);
}

}  // namespace
}  // namespace reactor::prefork
