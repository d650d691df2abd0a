// SPDX-License-Identifier: MIT
#include "reactor/prefork/pid_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "tests/prefork/prefork_test.h"
#include "tests/support/fd_guard.h"
#include "tests/support/fork.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

using Kind = PidFile::Holder::Kind;

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
  for (const char* stale : {"", "1\n", "999999999", "12345678\n", "12\n\n"}) {
    put(stale);
    EXPECT_EQ(PidFile::check(path_), std::error_code());
    EXPECT_EQ(PidFile::holder(path_)->kind, Kind::nobody);
    const PidFile file = PidFile::take(path_).value();
    EXPECT_EQ(content(), own_);
  }
}

// The earlier pid is longer than this process's.
TEST_F(PidFileTest, AReaderNeverSeesPartsOfTwoPids) {
  put("1234567890\n");
  std::atomic<bool> over = false;
  std::string mixture;
  std::thread reader([&] {
    while (!over) {
      const std::string text = content();
      const std::size_t end = text.find('\n');
      const bool is_one =
          end == std::string::npos || text.find_first_not_of('\n', end) == std::string::npos;
      if (!is_one) mixture = text;
    }
  });
  for (int i = 0; i < 1000; ++i) {
    put("1234567890\n");
    const PidFile file = PidFile::take(path_).value();
  }
  over = true;
  reader.join();
  EXPECT_EQ(mixture, "");
}

TEST_F(PidFileTest, WhatHoldsAnythingElseIsLeftAlone) {
  for (const char* text :
       {"root:x:0:0\n", "12 34\n", "0\n", "-5\n", "\n", "1111111111111111111111111111111111111"}) {
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
  put("");
  EXPECT_EQ(PidFile::holder(folder_.file("none/x"))->kind, Kind::nobody);
  EXPECT_EQ(PidFile::holder(path_ + "/x").error(), std::errc::not_a_directory);
}

TEST_F(PidFileTest, AChildThatCannotWriteItLeavesNone) {
  EXPECT_EQ(in_child([&] {
              ::signal(SIGXFSZ, SIG_IGN);
              const rlimit nothing{0, 0};
              ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &nothing), 0);
              EXPECT_EQ(PidFile::take(path_).error(), std::errc::file_too_large);
            }),
            0);
  EXPECT_FALSE(exists());
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

// Two processes: while one of them holds the file, the other can neither take nor remove it.
class PidFileFork : public PidFileTest {
 protected:
  // Starts a process that takes the file and then waits until it is killed.
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

  // Checks the holder in a process of its own, because the owner would drop its lock when it closes
  // the file again.
  void expect_holder(Kind kind, pid_t pid) const {
    EXPECT_EQ(in_child([&] {
                const PidFile::Holder holder = PidFile::holder(path_).value();
                EXPECT_EQ(holder.kind, kind);
                EXPECT_EQ(holder.pid, pid);
              }),
              0);
  }
  void expect_nobody() const { expect_holder(Kind::nobody, 0); }

  static void kill(pid_t child) {
    ::kill(child, SIGKILL);
    wait_for_child(child);
  }

  Lines lines_;
};

TEST_F(PidFileFork, IsRefusedToOthersWhileItsOwnerLives) {
  const pid_t owner = hold();
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::device_or_resource_busy);
  expect_holder(Kind::process, owner);
  EXPECT_EQ(content(), std::to_string(owner) + "\n");
  kill(owner);
  expect_nobody();
  EXPECT_TRUE(PidFile::take(path_).has_value());
}

TEST_F(PidFileFork, TheLockNamesTheOwnerWhateverTheFileSays) {
  const pid_t owner = hold();
  for (const char* text : {"", "1\n", "no pid"}) {
    put(text);
    expect_holder(Kind::process, owner);
  }
  kill(owner);
}

// A process that may only read the file can't pass for its owner.
TEST_F(PidFileFork, ALockOfAReaderNamesNobody) {
  put("1\n");
  const pid_t reader = spawn_child([&] {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    struct flock lock {};
    lock.l_type = F_RDLCK;
    EXPECT_EQ(::fcntl(fd, F_SETLK, &lock), 0);
    lines_.say("locked");
    for (;;) ::pause();
    return 0;
  });
  EXPECT_EQ(lines_.next(), "locked");
  expect_holder(Kind::unnamed, 0);
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::device_or_resource_busy);
  kill(reader);
}

TEST_F(PidFileFork, WhoGaveUpWritingHoldsItStill) {
  const pid_t owner = spawn_child([&] {
    PidFile file = PidFile::take(path_).value();
    EXPECT_EQ(file.give_up_writing(), std::error_code());
    EXPECT_EQ(::pwrite(file.fd(), "1", 1, 0), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(file.give_up_writing(), std::error_code());
    EXPECT_EQ(file.claim(), std::error_code());
    lines_.say(::testing::Test::HasFailure() ? "failed" : "held");
    for (;;) ::pause();
    return 0;
  });
  EXPECT_EQ(lines_.next(), "held");
  EXPECT_EQ(content(), std::to_string(owner) + "\n");
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::device_or_resource_busy);
  expect_holder(Kind::process, owner);
  put("1\n");  // as a process with the right to write it: file and lock disagree
  expect_holder(Kind::unnamed, 0);
  kill(owner);
  expect_nobody();
}

#if defined(__linux__)
// Moves the children that this process forks from now on into a new pid namespace, the first of
// them as process 1. Returns false if that is denied. Only a child of the test may call this,
// because it can't be undone.
bool enter_pid_namespace() { return ::unshare(CLONE_NEWPID) == 0; }

TEST_F(PidFileFork, AnOwnerInAnotherPidNamespaceIsNamedFromAboveAndNotFromBeside) {
  const pid_t above = spawn_child([&] {
    if (!enter_pid_namespace()) {
      lines_.say("denied");
      return 0;
    }
    const pid_t child = spawn_child([&] {
      const Result<PidFile> file = PidFile::take(path_);
      lines_.say(file ? "taken" : file.error().message());
      for (;;) ::pause();
      return 0;
    });
    lines_.say(std::to_string(child));  // its pid outside; inside it is 1
    for (;;) ::pause();
    return 0;
  });
  std::string owner = lines_.next();
  if (owner == "denied") {
    wait_for_child(above);
    GTEST_SKIP() << "unshare(2) denies a pid namespace";
  }
  std::string taken = lines_.next();  // the two lines come in any order
  if (owner == "taken") owner.swap(taken);
  EXPECT_EQ(taken, "taken");
  EXPECT_EQ(content(), "1\n");
  expect_holder(Kind::process, std::stoi(owner));
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(enter_pid_namespace());
              expect_holder(Kind::unnamed, 0);
            }),
            0);
  ::kill(std::stoi(owner), SIGKILL);
  kill(above);
}
#endif

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
  expect_holder(Kind::process, owner);
  kill(owner);
  expect_nobody();
  ::kill(worker, SIGKILL);
}

#if defined(F_OFD_SETLK)
// The file is never free for a third process. The last of the two to end removes it.
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
  expect_holder(Kind::process, successor);
  file.hand_over();
  EXPECT_EQ(PidFile::take(path_).error(), std::errc::device_or_resource_busy);
  expect_holder(Kind::process, successor);
  kill(successor);
  expect_nobody();
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
    expect_holder(Kind::process, ::getpid());
    EXPECT_EQ(content(), own_);
  }
}
#endif

TEST_F(PidFileTest, IsRemovedAtRequestButOnlyByTheProcessThatClaimedIt) {
  PidFile file = PidFile::take(path_).value();
  EXPECT_TRUE(file.is_at(path_));
  EXPECT_FALSE(file.is_at(path_ + ".none"));
  PidFile successor = PidFile::adopt(path_, ::dup(file.fd())).value();
  successor.remove();
  EXPECT_TRUE(exists()) << "it is still the other one's";
  EXPECT_GE(successor.fd(), 0);
  EXPECT_FALSE(successor.claim());
  successor.remove();
  EXPECT_FALSE(exists());
  EXPECT_LT(successor.fd(), 0);
  EXPECT_FALSE(successor.is_at(path_));
}

TEST_F(PidFileTest, AnotherFileIsNotAdopted) {
  put("");
  EXPECT_EQ(PidFile::adopt(path_, -1).error(), std::errc::bad_file_descriptor);
  const int other = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(PidFile::adopt(path_, other).error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(::fcntl(other, F_GETFD), -1) << "it is closed, or the lock would stay";
}

// Several processes take and release the file. No two of them may ever hold it at the same time.
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
        if (fd < 0) return 1;  // another process holds the file, too
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
