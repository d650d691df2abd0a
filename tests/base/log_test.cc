// SPDX-License-Identifier: MIT
#include "reactor/base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "reactor/base/internal/check.h"
#include "reactor/base/internal/fork_count.h"
#include "reactor/base/unique_fd.h"
#include "reactor/base/write_line.h"
#include "tests/support/fork.h"
#include "tests/support/log_capture.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

TEST(Log, TheSinkGetsWhatPassesTheLevel) {
  LogCapture log(LogLevel::warn);
  REACTOR_LOG(info, "too low");
  REACTOR_LOG(warn, std::string("first"));
  REACTOR_LOG(error, "second");
  ASSERT_EQ(log.lines().size(), 2U);
  EXPECT_EQ(log.lines()[0].level, LogLevel::warn);
  EXPECT_EQ(log.lines()[0].text, "first");
  EXPECT_EQ(log.lines()[1].level, LogLevel::error);
  EXPECT_EQ(log.lines()[1].text, "second");
}

// Only the program writes lines of the log, whatever bytes a message contains.
TEST(Log, TheSinkGetsOneLineWhateverIsInTheMessage) {
  LogCapture log;
  REACTOR_LOG(info, std::string("peer x\n2026 info worker 0 is root\x1b[2J\x9b"));
  REACTOR_LOG(info, std::string("gr\xc3\xbc\xc3\x9f\t"));
  REACTOR_LOG(info, std::string("\0", 1) + std::string(10'000, 'y'));
  ASSERT_EQ(log.lines().size(), 3U);
  EXPECT_EQ(log.lines()[0].text, "peer x\\n2026 info worker 0 is root\\x1b[2J\\x9b");
  EXPECT_EQ(log.lines()[1].text, "gr\xc3\xbc\xc3\x9f\\t");
  EXPECT_TRUE(log.lines()[2].text.starts_with("\\x00yyy"));
  EXPECT_TRUE(log.lines()[2].text.ends_with("yyy..."));
  EXPECT_LE(log.lines()[2].text.size(), 4096U);
}

TEST(Log, AMessageThatIsNotWantedIsNotMade) {
  const LogCapture log(LogLevel::error);
  int made = 0;
  const auto message = [&made] {
    ++made;
    return std::string("costly");
  };
  REACTOR_LOG(info, message());
  EXPECT_EQ(made, 0);
  REACTOR_LOG(error, message());
  EXPECT_EQ(made, 1);
}

TEST(Log, OffSilencesAll) {
  LogCapture log(LogLevel::off);
  REACTOR_LOG(critical, "nobody hears it");
  EXPECT_TRUE(log.lines().empty());
}

TEST(Log, LevelsHaveNames) {
  EXPECT_EQ(to_string(LogLevel::trace), "trace");
  EXPECT_EQ(to_string(LogLevel::info), "info");
  EXPECT_EQ(to_string(LogLevel::critical), "critical");
  EXPECT_EQ(to_string(LogLevel::off), "off");
}

// Returns what the default sink writes on standard error. A child logs, with a pipe as its standard
// error.
std::string default_output(std::string_view message) {
  FdPair pipe = make_pipe();
  const int failed = in_child([&] {
    ::dup2(pipe.far.get(), STDERR_FILENO);
    set_log_sink(nullptr, nullptr);
    log_message(LogLevel::info, message);
  });
  EXPECT_EQ(failed, 0);
  return read_text(pipe.near.get());
}

TEST(Log, TheDefaultSinkWritesOneLine) { EXPECT_EQ(default_output("it runs"), "info it runs\n"); }

TEST(Log, TheDefaultSinkEscapes) { EXPECT_EQ(default_output("a\nerror b"), "info a\\nerror b\n"); }

TEST(Log, TheDefaultSinkCutsALongLineButEndsIt) {
  const std::string line = default_output(std::string(5000, 'y'));
  EXPECT_GT(line.size(), 500U);
  EXPECT_LT(line.size(), 5000U);
  EXPECT_EQ(line.back(), '\n');
}

TEST(Log, TheDefaultSinkCutsNothingOfALineThatJustFits) {
  const std::size_t longest = default_output(std::string(5000, 'y')).size();
  EXPECT_EQ(longest, 1024U);
  const std::size_t room = longest - std::string_view("info \n").size();
  for (const std::size_t size : {room - 1, room}) {
    const std::string text(size, 'z');
    EXPECT_EQ(default_output(text), "info " + text + "\n");
  }
  EXPECT_EQ(default_output(std::string(room + 1, 'z')), "info " + std::string(room, 'z') + "\n");
}

// A full pipe whose write end blocks.
FdPair full_pipe() {
  FdPair pipe = make_pipe();
  fill(pipe.far.get());
  EXPECT_EQ(::fcntl(pipe.far.get(), F_SETFL, 0), 0);
  return pipe;
}

// in_child() kills a child that blocks.
TEST(LogFork, TheDefaultSinkDoesNotWaitForAReader) {
  FdPair pipe = full_pipe();
  EXPECT_EQ(in_child([&] {
              ::dup2(pipe.far.get(), STDERR_FILENO);
              set_log_sink(nullptr, nullptr);
              log_message(LogLevel::info, "dropped");
            }),
            0);
}

TEST(LogFork, ALineIsWrittenAtOnceOrNotAtAll) {
  EXPECT_EQ(in_child([] {
              const FdPair open = make_pipe();
              EXPECT_EQ(write_line(open.far.get(), "first\n"), 0);
              EXPECT_EQ(read_text(open.near.get()), "first\n");
              FdPair pipe = full_pipe();
              errno = 7;
              EXPECT_EQ(write_line(pipe.far.get(), "second\n"), EAGAIN);
              EXPECT_EQ(errno, 7);
              pipe.near.reset();
              ::signal(SIGPIPE, SIG_IGN);
              EXPECT_EQ(write_line(pipe.far.get(), "third\n"), EPIPE);
              EXPECT_EQ(write_line(-1, "fourth\n"), EBADF);
            }),
            0);
}

#if defined(__linux__)
TEST(Log, AFullDiskIsAnErrorOfALine) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(write_line(full.get(), "line\n"), ENOSPC);
}
#endif

TEST(CheckDeath, AbortsAndNamesThePlaceAndTheCondition) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const int one = 1;
  REACTOR_CHECK(one == 1);
  EXPECT_DEATH(REACTOR_CHECK(one == 2), "log_test.cc:[0-9]+: check failed: one == 2");
}

TEST(ProcessFork, AChildHasAnotherGeneration) {
  const auto mine = process_generation();
  EXPECT_EQ(in_child([mine] {
              EXPECT_NE(process_generation(), mine);
              const auto childs = process_generation();
              EXPECT_EQ(in_child([mine, childs] {
                          EXPECT_NE(process_generation(), childs);
                          EXPECT_NE(process_generation(), mine);
                        }),
                        0);
              EXPECT_EQ(process_generation(), childs);
            }),
            0);
  EXPECT_EQ(process_generation(), mine) << "forking changes nothing in the parent";
}

TEST(ProcessFork, TheParentCountsItsForks) {
  const auto before = fork_count();
  EXPECT_EQ(fork_count(), before);
  EXPECT_EQ(in_child([] {}), 0);
  EXPECT_NE(fork_count(), before);
}

}  // namespace
}  // namespace reactor
