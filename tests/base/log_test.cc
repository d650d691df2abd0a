// SPDX-License-Identifier: MIT
#include "reactor/base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "reactor/base/check.h"
#include "reactor/base/process.h"
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

// Nobody writes a line of the log but the program, whatever bytes it is given.
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

// What the default sink writes on standard error, in a child whose standard error is a pipe.
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
