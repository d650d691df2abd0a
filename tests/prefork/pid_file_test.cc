// SPDX-License-Identifier: MIT
#include "reactor/prefork/pid_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "tests/prefork/prefork_test.h"
#include "tests/support/fd_guard.h"
#include "tests/support/fork.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

class PidFileTest : public ::testing::Test {
 protected:
  void put(const std::string& text) const { std::ofstream(path_) << text; }
  [[nodiscard]] std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  [[nodiscard]] bool exists() const { return std::filesystem::exists(path_); }

 private:
  FdGuard descriptors_;

 protected:
  const TemporaryFolder folder_;
  const std::string path_ = folder_.file("server.pid");
  const std::string own_ = std::to_string(::getpid()) + "\n";
};

TEST_F(PidFileTest, HoldsThePidAndIsRemovedAtTheEnd) {
  {
    const PidFile file = PidFile::take(path_).value();
    EXPECT_EQ(content(), own_);
  }
  EXPECT_FALSE(exists());
}

TEST_F(PidFileTest, IsMovable) {
  PidFile first = PidFile::take(path_).value();
  {
    const PidFile second = std::move(first);
    EXPECT_TRUE(exists());
  }
  EXPECT_FALSE(exists());
}

TEST_F(PidFileTest, AStaleOneIsTakenOver) {
  for (const char* stale : {"", "1\n", "999999999", "12345678\n"}) {
    put(stale);
    EXPECT_EQ(PidFile::check(path_), std::error_code());
    EXPECT_EQ(PidFile::holder(path_).value(), 0);
    const PidFile file = PidFile::take(path_).value();
    EXPECT_EQ(content(), own_);
  }
}

TEST_F(PidFileTest, WhatHoldsAnythingElseIsLeftAlone) {
  for (const char* text : {"root:x:0:0\n", "12 34\n", "0\n", "-5\n", "12\n\n", "\n",
                           "1111111111111111111111111111111111111"}) {
    put(text);
    EXPECT_EQ(PidFile::take(path_).error(), std::errc::file_exists) << text;
    EXPECT_EQ(PidFile::check(path_), std::errc::file_exists) << text;
    EXPECT_EQ(content(), text);
  }
}

TEST_F(PidFileTest, WhatIsNoRegularFileIsRefused) {
  EXPECT_EQ(PidFile::take(folder_.path()).error(), std::errc::is_a_directory);
  EXPECT_EQ(PidFile::take("/dev/null").error(), std::errc::file_exists);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::file_exists);
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const std::string target = folder_.file("target");
  ASSERT_EQ(::symlink(target.c_str(), path_.c_str()), 0);
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::too_many_symbolic_link_levels);
  EXPECT_FALSE(std::filesystem::exists(target));
}

TEST_F(PidFileTest, ErrorsAreThoseOfTheSystem) {
  EXPECT_EQ(PidFile::take("").error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(PidFile::check(""), std::errc::no_such_file_or_directory);
  const std::string cut = path_ + std::string(1, '\0') + "x";
  EXPECT_EQ(PidFile::check(cut), std::errc::invalid_argument);
  EXPECT_EQ(PidFile::take(cut).error(), std::errc::invalid_argument);
  EXPECT_EQ(PidFile::holder(cut).error(), std::errc::invalid_argument);
  EXPECT_EQ(PidFile::take(folder_.file("none/x")).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(PidFile::check(folder_.file("none/x")), std::errc::no_such_file_or_directory);
  EXPECT_EQ(PidFile::holder(folder_.file("none/x")).value(), 0);
}

TEST_F(PidFileTest, CheckMakesNothing) {
  EXPECT_EQ(PidFile::check(path_), std::error_code());
  EXPECT_FALSE(exists());
}

TEST_F(PidFileTest, OneThatWasReplacedIsNotRemoved) {
  std::optional<PidFile> file(PidFile::take(path_).value());
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  put("another's");
  file.reset();
  EXPECT_EQ(content(), "another's");
}

TEST_F(PidFileTest, AForkedProcessLeavesItAlone) {
  PidFile file = PidFile::take(path_).value();
  const pid_t child = spawn_child([&] {
    const PidFile moved = std::move(file);
    return 0;
  });
  EXPECT_EQ(wait_for_child(child), 0);
  EXPECT_EQ(content(), own_);
}

// Two processes: what one holds the other can neither take nor remove.
class PidFileFork : public PidFileTest {
 protected:
  // A process that takes the file and waits for its end.
  pid_t hold() {
    const pid_t child = spawn_child([&] {
      const Result<PidFile> file = PidFile::take(path_);
      lines_.say(file ? "taken" : file.error().message());
      for (;;) ::pause();
      return 0;
    });
    EXPECT_EQ(lines_.next(), "taken");
    return child;
  }

  static void kill(pid_t child) {
    ::kill(child, SIGKILL);
    wait_for_child(child);
  }

  Lines lines_;
};

TEST_F(PidFileFork, IsRefusedToOthersWhileItsOwnerLives) {
  const pid_t owner = hold();
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::device_or_resource_busy);
  EXPECT_EQ(PidFile::holder(path_).value(), owner);
  EXPECT_EQ(content(), std::to_string(owner) + "\n");
  put("");
  EXPECT_EQ(PidFile::holder(path_).value(), -1);
  kill(owner);
  EXPECT_EQ(PidFile::holder(path_).value(), 0);
  EXPECT_TRUE(PidFile::take(path_).has_value());
}

TEST_F(PidFileFork, AChildThatAbandonedItDoesNotKeepTheLock) {
  int worker = 0;
  const pid_t owner = spawn_child([&] {
    PidFile file = PidFile::take(path_).value();
    const pid_t child = ::fork();
    if (child == 0) {
      file.abandon_in_child();
      lines_.say(std::to_string(::getpid()));
      for (;;) ::pause();
    }
    for (;;) ::pause();
    return 0;
  });
  worker = std::stoi(lines_.next());
  EXPECT_EQ(PidFile::holder(path_).value(), owner);
  kill(owner);
  EXPECT_EQ(PidFile::holder(path_).value(), 0);
  ::kill(worker, SIGKILL);
}

#if defined(F_OFD_SETLK)
// At no time is the file free for a third one; whoever ends last removes it.
TEST_F(PidFileFork, ASuccessorTakesItOver) {
  PidFile file = PidFile::take(path_).value();
  const int fd = ::dup(file.fd());
  const pid_t successor = spawn_child([&] {
    file.abandon_in_child();
    PidFile own = PidFile::adopt(path_, fd).value();
    EXPECT_EQ(content(), std::to_string(::getppid()) + "\n");
    EXPECT_EQ(own.claim(), std::error_code());
    lines_.say("claimed");
    for (;;) ::pause();
    return 0;
  });
  ::close(fd);
  EXPECT_EQ(lines_.next(), "claimed");
  EXPECT_EQ(content(), std::to_string(successor) + "\n");
  EXPECT_EQ(PidFile::holder(path_).value(), successor);
  file.hand_over();
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::device_or_resource_busy);
  kill(successor);
  EXPECT_EQ(PidFile::holder(path_).value(), 0);
}

TEST_F(PidFileFork, ASuccessorThatFailsHarmsNothing) {
  PidFile file = PidFile::take(path_).value();
  for (const bool claims : {false, true}) {
    const int fd = ::dup(file.fd());
    EXPECT_EQ(in_child([&] {
                file.abandon_in_child();
                PidFile own = PidFile::adopt(path_, fd).value();
                if (claims) {
                  EXPECT_EQ(own.claim(), std::error_code());
                  ::_exit(0);
                }
              }),
              0);
    ::close(fd);
    EXPECT_EQ(file.claim(), std::error_code());
    EXPECT_EQ(content(), own_);
  }
  EXPECT_EQ(PidFile::holder(path_).value(), ::getpid());
}
#endif

TEST_F(PidFileTest, AnotherFileIsNotAdopted) {
  put("");
  EXPECT_EQ(PidFile::adopt(path_, -1).error(), std::errc::bad_file_descriptor);
  const UniqueFd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(PidFile::adopt(path_, other.get()).error(), std::errc::no_such_file_or_directory);
}

// However the starts and ends of many fall together, never do two hold it.
TEST_F(PidFileFork, NoTwoHoldItHoweverTheyRace) {
  std::vector<pid_t> rivals;
  const std::string guard = folder_.file("guard");
  for (int i = 0; i < 4; ++i) {
    rivals.push_back(spawn_child([&] {
      int taken = 0;
      while (taken < 200) {
        const Result<PidFile> file = PidFile::take(path_);
        if (!file) continue;
        ++taken;
        const int fd = ::open(guard.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) return 1;  // another one holds it too
        ::unlink(guard.c_str());
        ::close(fd);
      }
      return 0;
    }));
  }
  for (const pid_t rival : rivals) EXPECT_EQ(wait_for_child(rival), 0);
}

}  // namespace
}  // namespace reactor::prefork
