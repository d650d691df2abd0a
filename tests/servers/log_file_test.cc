// SPDX-License-Identifier: MIT
#include "servers/log_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "reactor/base/internal/descriptors.h"
#include "reactor/base/log.h"
#include "reactor/spdlog/log_spdlog.h"
#include "tests/support/fd_guard.h"
#include "tests/support/fork.h"
#include "tests/support/pipes.h"
#include "tests/support/temporary_folder.h"

namespace servers {
namespace {

volatile std::sig_atomic_t g_rotated = 0;

class LogFileFork : public ::testing::Test {
 protected:
  // Returns all lines of all files, with the number of times that each line was there.
  [[nodiscard]] std::map<std::string, int> lines() const {
    std::map<std::string, int> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) ++found[line];
    }
    return found;
  }

 private:
  reactor::FdGuard descriptors_;

 protected:
  const reactor::TemporaryFolder folder_;
  const std::string path_ = folder_.file("log");
};

// A worker may be running foreign code. If it changes the flags of the log's descriptor, the parent
// must not notice.
TEST_F(LogFileFork, WhatAChildDoesToItsFlagsItsParentDoesNotFeel) {
  const std::string fifo = folder_.file("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const reactor::UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  for (const std::string& name : {path_, fifo}) {
    LogFile log(name, {});
    ASSERT_TRUE(log.open());
    for (const bool rotated : {false, true}) {
      if (rotated) log.reopen();
      const int before = ::fcntl(log.fd(), F_GETFL);
      ASSERT_NE(before & O_NONBLOCK, 0);
      EXPECT_EQ(reactor::wait_for_child(reactor::spawn_child([&] {
                  log.part_from_parent();
                  if (::fcntl(log.fd(), F_GETFL) != before) return 1;
                  return ::fcntl(log.fd(), F_SETFL, 0) == 0 ? 0 : 2;
                })),
                0);
      EXPECT_EQ(::fcntl(log.fd(), F_GETFL), before);
    }
  }
}

constexpr int kWriters = 4;
constexpr int kLines = 5000;

std::string text_of(int writer, int line) {
  return "writer " + std::to_string(writer) + " line " + std::to_string(line) +
         std::string(static_cast<std::size_t>(line % 300), '.') + "!";
}

// Writes the lines of a worker to the log that the master opened. The worker handles a rotation
// between two lines.
int write_lines(LogFile& log, int writer) {
  ::signal(SIGUSR1, [](int) { g_rotated = 1; });
  for (int line = 0; line < kLines; ++line) {
    REACTOR_LOG(info, text_of(writer, line));
    if (g_rotated == 0) continue;
    g_rotated = 0;
    log.reopen();
  }
  return 0;
}

TEST_F(LogFileFork, ARotationUnderLoadNeitherTearsNorLosesNorDoublesALine) {
  const auto writers = [&] {
    LogFile log(path_, {});
    EXPECT_TRUE(log.open().has_value());
    reactor::log_to_spdlog_fd("test", log.fd());
    ::signal(SIGUSR1, SIG_IGN);  // until the writer has set its handler
    std::set<pid_t> children;
    for (int writer = 0; writer < kWriters; ++writer) {
      children.insert(reactor::spawn_child([&, writer] { return write_lines(log, writer); }));
    }
    for (int rotation = 0; rotation < 100; ++rotation) {
      std::filesystem::rename(path_, path_ + "." + std::to_string(rotation));
      log.reopen();
      REACTOR_LOG(info, "rotation " + std::to_string(rotation) + "!");
      for (const pid_t child : children) ::kill(child, SIGUSR1);
      ::usleep(500);  // lets the writers write; nothing depends on it
    }
    for (const pid_t child : children) EXPECT_EQ(reactor::wait_for_child(child), 0);
    return ::testing::Test::HasFailure() ? 1 : 0;
  };
  ASSERT_EQ(reactor::wait_for_child(reactor::spawn_child(writers)), 0);

  std::set<std::string> messages;
  for (const auto& [line, times] : lines()) {
    EXPECT_EQ(times, 1) << line;
    const std::size_t start = line.find(" info ");
    ASSERT_NE(start, std::string::npos) << line;
    messages.insert(line.substr(start + 6));
  }
  EXPECT_EQ(messages.size(), static_cast<std::size_t>(kWriters * kLines + 100));
  for (int writer = 0; writer < kWriters; ++writer) {
    for (int line = 0; line < kLines; ++line) {
      ASSERT_TRUE(messages.contains(text_of(writer, line))) << text_of(writer, line);
    }
  }
}

TEST_F(LogFileFork, WhereItCannotBeOpenedAgainTheOldFileStays) {
  EXPECT_EQ(reactor::in_child([&] {
              LogFile log(path_, {});
              ASSERT_TRUE(log.open().has_value());
              reactor::log_to_spdlog_fd("test", log.fd());
              std::filesystem::rename(path_, path_ + ".1");
              ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
              log.reopen();
              REACTOR_LOG(info, "after");
            }),
            0);
  std::filesystem::remove(path_);
  std::string all;
  for (const auto& [line, times] : lines()) all += line + "\n";
  EXPECT_NE(all.find("can't reopen " + path_ + ": Is a directory"), std::string::npos) << all;
  EXPECT_NE(all.find(" after\n"), std::string::npos) << all;
}

// One descriptor number is free, but a log that children inherit needs two. Neither is replaced, so
// the process and its children go on with the same file.
TEST_F(LogFileFork, IfOnlyOneOfTheTwoCanBeOpenedBothStay) {
  EXPECT_EQ(reactor::in_child([&] {
              LogFile log(path_, {});
              ASSERT_TRUE(log.open());
              reactor::log_to_spdlog_fd("test", log.fd());
              std::filesystem::rename(path_, path_ + ".1");
              const int free = reactor::lowest_free_descriptor(log.fd());
              const rlimit one{static_cast<rlim_t>(free) + 1, static_cast<rlim_t>(free) + 1};
              ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &one), 0);
              log.reopen();
              REACTOR_LOG(info, "of the parent");
              EXPECT_EQ(reactor::in_child([&] {
                          log.part_from_parent();
                          REACTOR_LOG(info, "of the child");
                        }),
                        0);
            }),
            0);
  std::ifstream old(path_ + ".1");
  const std::string text{std::istreambuf_iterator<char>(old), {}};
  for (const char* line : {"can't reopen ", "of the parent", "of the child"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " is not in:\n" << text;
  }
}

// The shell that passed us the pipe shares its flags, so O_NONBLOCK must not be set on it.
TEST_F(LogFileFork, APipeAtStandardErrorIsOpenedOnceMoreAndDoesNotWait) {
  EXPECT_EQ(reactor::in_child([&] {
              reactor::FdPair pipe = reactor::make_pipe();
              ::dup2(pipe.far.get(), STDERR_FILENO);
              ASSERT_EQ(::fcntl(STDERR_FILENO, F_SETFL, 0), 0);
              LogFile log("-", {});
              ASSERT_TRUE(log.open().has_value());
              EXPECT_FALSE(log.is_file());
              EXPECT_NE(log.fd(), STDERR_FILENO);
              EXPECT_NE(::fcntl(log.fd(), F_GETFL) & O_NONBLOCK, 0);
              EXPECT_EQ(::fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
              const int before = log.fd();
              log.reopen();
              EXPECT_EQ(log.fd(), before);
            }),
            0);
}

TEST_F(LogFileFork, AFileAtStandardErrorIsWrittenWhereItIs) {
  EXPECT_EQ(reactor::in_child([&] {
              const reactor::UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT, 0600));
              ::dup2(file.get(), STDERR_FILENO);
              LogFile log("-", {});
              ASSERT_TRUE(log.open().has_value());
              EXPECT_EQ(log.fd(), STDERR_FILENO);
            }),
            0);
}

TEST_F(LogFileFork, AFifoWithoutAReaderIsAnErrorAndNotAWait) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  LogFile log(path_, {});
  const std::error_code error = log.open().error();
  EXPECT_EQ(error, std::errc::no_such_device_or_address);
  EXPECT_NE(why_not_opened(error).find("without a reader"), std::string::npos);
}

// Lost lines are reported once, by the process that writes the next line.
TEST_F(LogFileFork, LostLinesAreCounted) {
  EXPECT_EQ(reactor::in_child([&] {
              reactor::FdPair pipe = reactor::make_pipe();
              reactor::fill(pipe.far.get());
              reactor::log_to_spdlog_fd("test", pipe.far.get());
              for (int line = 0; line < 3; ++line) REACTOR_LOG(info, "lost");
              static_cast<void>(reactor::read_text(pipe.near.get()));
              EXPECT_EQ(reactor::in_child([] { REACTOR_LOG(info, "of the child"); }), 0);
              REACTOR_LOG(info, "of the parent");
              reactor::flush_spdlog();
              REACTOR_LOG(info, std::string(10'000, 'x'));
              std::string text = reactor::read_text(pipe.near.get());
              EXPECT_EQ(text.find("lost"), text.find("lost: Resource"));
              EXPECT_LT(text.find("3 lines of the log are lost: "), text.find("of the child"));
              EXPECT_LT(text.find("of the child"), text.find("of the parent"));
              EXPECT_EQ(text.find("lines of the log"), text.rfind("lines of the log"));
              const std::string last = text.substr(text.rfind('\n', text.size() - 2) + 1);
              EXPECT_EQ(last.size(), 4096U);
              EXPECT_TRUE(last.ends_with("xxx...\n"));
            }),
            0);
}

TEST_F(LogFileFork, LinesThatAChildLostAreReportedAtTheEnd) {
  EXPECT_EQ(reactor::in_child([&] {
              const reactor::FdPair pipe = reactor::make_pipe();
              const reactor::FdPair errors = reactor::make_pipe();
              ::dup2(errors.far.get(), STDERR_FILENO);
              reactor::fill(pipe.far.get());
              reactor::log_to_spdlog_fd("test", pipe.far.get());
              const auto lose = [] { REACTOR_LOG(info, "lost"); };
              EXPECT_EQ(reactor::in_child(lose) + reactor::in_child(lose), 0);
              reactor::flush_spdlog();
              const std::string said = reactor::read_text(errors.near.get());
              EXPECT_NE(said.find("test: 2 lines of the log are lost: "), said.npos) << said;
              EXPECT_EQ(reactor::in_child(lose), 0);
              static_cast<void>(reactor::read_text(pipe.near.get()));
              reactor::flush_spdlog();
              const std::string text = reactor::read_text(pipe.near.get());
              EXPECT_NE(text.find("1 lines of the log are lost: "), text.npos) << text;
            }),
            0);
}

TEST_F(LogFileFork, ErrorsAreThoseOfOpen) {
  EXPECT_EQ(LogFile(folder_.path(), {}).open().error(), std::errc::is_a_directory);
  EXPECT_EQ(LogFile(folder_.file("none/log"), {}).open().error(),
            std::errc::no_such_file_or_directory);
}

}  // namespace
}  // namespace servers
