// SPDX-License-Identifier: MIT
// The access log's outputs. The server never waits for them.
#include "reactor/http/access_log.h"

#include <poll.h>

#include <csignal>
#include <string>

#include "tests/http/access_test.h"
#include "tests/support/fork.h"
#include "tests/support/log_capture.h"

namespace reactor::http {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Format = AccessLog::Format;

constexpr std::size_t kBatch = 16 * 1024;

class Access : public AccessTest {};

std::string drain(int fd) {
  std::string all;
  for (std::string part = read_text(fd); !part.empty(); part = read_text(fd)) all += part;
  return all;
}

// ---- Batches ----

TEST_P(Access, ABatchEndsWithItsTime) {
  const std::unique_ptr<AccessLog> log = open(Format::common, seconds(1));
  const TimePoint begin = monotonic_now();
  for (int i = 0; i < 10; ++i) log->add(entry());
  EXPECT_EQ(content(path_), "");
  ASSERT_TRUE(run_bounded(loop_, [&] { return !content(path_).empty(); }));
  EXPECT_EQ(lines_in(content(path_)), 10U);
  EXPECT_GE(monotonic_now() - begin, seconds(1));
  EXPECT_LT(monotonic_now() - begin, seconds(5));
  log->add(entry());
  EXPECT_EQ(lines_in(content(path_)), 10U);
  ASSERT_TRUE(run_bounded(loop_, [&] { return lines_in(content(path_)) == 11; }));
}

TEST_P(Access, ABatchEndsWithItsSize) {
  const std::unique_ptr<AccessLog> log = open(Format::combined);
  std::size_t added = 0, seen = 0;
  for (int batch = 0; batch < 3; ++batch) {
    while (lines_in(content(path_)) == seen && ++added < 10'000) log->add(entry());
    const std::string text = content(path_);
    EXPECT_EQ(text.back(), '\n');
    EXPECT_EQ(lines_in(text), added);
    const std::size_t line = text.find('\n') + 1;
    const std::size_t size = (added - seen) * line;
    EXPECT_GE(size, kBatch);
    EXPECT_LT(size, kBatch + line);
    seen = added;
  }
}

TEST_P(Access, WhatIsLeftIsWrittenAtTheEnd) {
  std::unique_ptr<AccessLog> log = open(Format::common);
  log->add(entry());
  EXPECT_EQ(content(path_), "");
  log.reset();
  EXPECT_EQ(lines_in(content(path_)), 1U);
}

TEST_P(Access, TheLogAloneKeepsNoLoopRunning) {
  const std::unique_ptr<AccessLog> log = open(Format::common, hours(1));
  log->add(entry());
  EXPECT_TRUE(run_to_end(loop_));
}

TEST_P(Access, FilesAreAppendedTo) {
  std::ofstream(path_) << "first\n";
  open(Format::common)->add(entry());
  open(Format::common)->add(entry());
  const std::string text = content(path_);
  EXPECT_EQ(text.substr(0, 6), "first\n");
  EXPECT_EQ(lines_in(text), 3U);
}

TEST_P(Access, TwoWritersKeepTheirLinesWhole) {
  const UniqueFd reader = make_fifo();
  const std::unique_ptr<AccessLog> one = open(Format::common), other = open(Format::json);
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    one->add(entry());
    other->add(entry());
    if (i % 50 == 0) text += drain(reader.get());
  }
  one->flush();
  text += drain(reader.get());
  other->flush();
  text += drain(reader.get());
  EXPECT_EQ(one->lost() + other->lost(), 0U);
  std::size_t common = 0, json = 0;
  for (std::size_t at = 0, end = 0; at < text.size(); at = end + 1) {
    end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    common += line.starts_with("192.0.2.7 - - ") && line.ends_with(" 200 2326") ? 1 : 0;
    json += line.starts_with("{\"time\"") && line.ends_with("}") ? 1 : 0;
  }
  EXPECT_EQ(common, 2000U);
  EXPECT_EQ(json, 2000U);
}

// ---- Outputs that can't be written ----

TEST_P(Access, AFullPipeLosesLinesAndNeverWaits) {
  const LogCapture capture;
  const UniqueFd reader = make_fifo();
  std::unique_ptr<AccessLog> log = open(Format::combined, milliseconds(1));
  constexpr std::size_t kAdded = 5000;
  const TimePoint begin = monotonic_now();
  for (std::size_t i = 0; i < kAdded; ++i) log->add(entry());
  EXPECT_LT(monotonic_now() - begin, seconds(5));
  EXPECT_GT(log->lost(), 0U);
  ASSERT_TRUE(run_bounded(loop_, [&] { return !capture.lines().empty(); }));
  EXPECT_LT(run_for(loop_, milliseconds(200)), 40);  // it does not spin
  EXPECT_EQ(capture.lines().size(), 1U);             // and does not report each lost line
  EXPECT_TRUE(capture.contains("lines lost"));
  EXPECT_TRUE(capture.contains(path_));

  std::string text;
  const std::size_t kept = kAdded - log->lost();
  ASSERT_TRUE(pump(loop_, [&] {
    text += drain(reader.get());
    return lines_in(text) >= kept;
  }));
  log->add(entry());  // the log goes on
  log.reset();
  text += drain(reader.get());
  EXPECT_EQ(lines_in(text), kept + 1);
  for (std::size_t at = 0, end = 0; at < text.size(); at = end + 1) {
    end = text.find('\n', at);
    EXPECT_EQ(text.substr(at, end - at).size(), text.find('\n'));
  }
}

TEST_P(Access, LaterLossesAreReportedEvenIfNoLineFollows) {
  const LogCapture capture;
  const UniqueFd reader = make_fifo();
  const auto log = get(AccessLog::open(
      loop_, {.path = path_, .batch_time = milliseconds(1), .report_interval = milliseconds(50)}));
  const auto lose = [&] {
    for (const std::uint64_t before = log->lost(); log->lost() == before;) log->add(entry());
  };
  lose();
  ASSERT_TRUE(run_bounded(loop_, [&] { return capture.lines().size() == 1; }));
  lose();
  while (!drain(reader.get()).empty()) log->flush();
  EXPECT_EQ(capture.lines().size(), 1U);
  EXPECT_TRUE(run_bounded(loop_, [&] { return capture.lines().size() == 2; }));
  EXPECT_TRUE(capture.contains(": 1 lines lost"));
}

TEST_P(Access, WhatIsLeftInAFullPipeAtTheEndIsCounted) {
  const LogCapture capture;
  const UniqueFd reader = make_fifo();
  const UniqueFd filler(::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  static_cast<void>(fill(filler.get()));
  std::unique_ptr<AccessLog> log = open(Format::common);
  for (int i = 0; i < 3; ++i) log->add(entry());
  log.reset();
  ASSERT_EQ(capture.lines().size(), 1U);
  EXPECT_TRUE(capture.contains("3 lines lost"));
}

TEST_P(Access, AFifoWithoutAReaderHoldsTheFirstLines) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const std::unique_ptr<AccessLog> log = open(Format::common);
  log->add(entry());
  log->flush();
  const UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  EXPECT_EQ(lines_in(drain(reader.get())), 1U);
}

TEST_P(Access, CheckingAFifoIsNoEndForItsReader) {
  const UniqueFd reader = make_fifo();
  EXPECT_TRUE(AccessLog::check(path_));
  pollfd state{.fd = reader.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&state, 1, 0), 0) << state.revents;
}

TEST_P(Access, AReaderThatLeftKillsNobodyInTheChild) {
  const int code = in_child([&] {
    ::signal(SIGPIPE, SIG_DFL);
    Loop loop(options());
    UniqueFd reader = make_fifo();
    const auto log = get(AccessLog::open(loop, {.path = path_, .format = Format::common}));
    reader.reset();
    log->add(entry());
    log->flush();
    sigset_t state;
    sigpending(&state);
    EXPECT_EQ(sigismember(&state, SIGPIPE), 0);
    ::pthread_sigmask(SIG_BLOCK, nullptr, &state);
    EXPECT_EQ(sigismember(&state, SIGPIPE), 0);
    reader.reset(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    log->flush();
    EXPECT_EQ(lines_in(drain(reader.get())), 1U);
  });
  EXPECT_EQ(code, 0);
}

TEST_P(Access, AFullDiskLosesLinesAndSaysSo) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  const LogCapture capture;
  const auto log = get(AccessLog::open(loop_, {.path = "/dev/full"}));
  for (int i = 0; i < 2000; ++i) log->add(entry());
  EXPECT_GT(log->lost(), 0U);
  log->flush();
  ASSERT_TRUE(run_bounded(loop_, [&] { return !capture.lines().empty(); }));
  EXPECT_TRUE(capture.contains("No space left on device"));
}

TEST_P(Access, ErrorsOfOpening) {
  const auto error_of = [this](const std::string& path) {
    const std::error_code error = AccessLog::open(loop_, {.path = path}).error();
    EXPECT_EQ(AccessLog::check(path).error(), error);
    return error;
  };
  EXPECT_EQ(error_of(folder_.path()), std::errc::is_a_directory);
  EXPECT_EQ(error_of(folder_.file("none/log")), std::errc::no_such_file_or_directory);
  EXPECT_EQ(error_of(""), std::errc::no_such_file_or_directory);
  EXPECT_EQ(error_of(path_ + std::string(1, '\0')), std::errc::invalid_argument);
  EXPECT_TRUE(AccessLog::check(path_));
  EXPECT_EQ(content(path_), "");
}

// ---- Rotation, processes, standard output ----

TEST_P(Access, ReopenAfterRename) {
  const std::unique_ptr<AccessLog> log = open(Format::common);
  log->add(entry());
  ASSERT_EQ(::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  log->add(entry());
  ASSERT_TRUE(log->reopen());
  EXPECT_EQ(lines_in(content(path_ + ".1")), 2U);
  log->add(entry());
  log->flush();
  EXPECT_EQ(lines_in(content(path_ + ".1")), 2U);
  EXPECT_EQ(lines_in(content(path_)), 1U);
}

TEST_P(Access, ReopenThatFailsKeepsTheOldFile) {
  const std::unique_ptr<AccessLog> log = open(Format::common);
  ASSERT_EQ(::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  EXPECT_EQ(log->reopen().error(), std::errc::is_a_directory);
  log->add(entry());
  log->flush();
  EXPECT_EQ(lines_in(content(path_ + ".1")), 1U);
  EXPECT_EQ(::rmdir(path_.c_str()), 0);
}

TEST_P(Access, AChildDoesNotWriteItsParentsLines) {
  std::unique_ptr<AccessLog> log = open(Format::common);
  log->add(entry());
  EXPECT_EQ(in_child([&] { log.reset(); }), 0);
  EXPECT_EQ(content(path_), "");
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop_.reinit_after_fork());
              log->add(entry());
              log.reset();
            }),
            0);
  EXPECT_EQ(lines_in(content(path_)), 1U);
  log.reset();
  EXPECT_EQ(lines_in(content(path_)), 2U);
}

// Runs `checks` in a child whose standard output is `fd`.
int with_output(int fd, Callback<void()> checks) {
  return in_child([&] {
    ASSERT_EQ(::dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    checks();
  });
}

TEST_P(Access, StandardOutputThatIsAPipeStaysAsItIsInTheChild) {
  const FdPair pipe = make_pipe();
  ASSERT_EQ(::fcntl(pipe.far.get(), F_SETFL, 0), 0);  // the pipe blocks, as one from a shell does
  const int code = with_output(pipe.far.get(), [&] {
    Loop loop(options());
    const LogCapture capture;
    const auto log = get(AccessLog::open(loop, {.path = "-"}));
    EXPECT_EQ(::fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
    log->add(entry());
    log->flush();
    EXPECT_EQ(lines_in(drain(pipe.near.get())), 1U);
    for (int i = 0; i < 5000; ++i) log->add(entry());
    EXPECT_GT(log->lost(), 0U);
    EXPECT_TRUE(log->reopen());
  });
  EXPECT_EQ(code, 0);
}

TEST_P(Access, StandardOutputThatIsASocketInTheChild) {
  const FdPair pair = make_socket_pair();
  ASSERT_EQ(::fcntl(pair.far.get(), F_SETFL, 0), 0);
  const int code = with_output(pair.far.get(), [&] {
    Loop loop(options());
    const LogCapture capture;
    const auto log = get(AccessLog::open(loop, {.path = "-"}));
    log->add(entry());
    log->flush();
    EXPECT_EQ(lines_in(drain(pair.near.get())), 1U);
    for (int i = 0; i < 20000; ++i) log->add(entry());
    EXPECT_GT(log->lost(), 0U);
  });
  EXPECT_EQ(code, 0);
}

TEST_P(Access, StandardOutputThatIsAFileInTheChild) {
  UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const int code = with_output(file.get(), [&] {
    Loop loop(options());
    const auto log = get(AccessLog::open(loop, {.path = "-"}));
    ASSERT_EQ(::write(STDOUT_FILENO, "ready\n", 6), 6);
    log->add(entry());
    log->flush();
    ASSERT_EQ(::write(STDOUT_FILENO, "end\n", 4), 4);
  });
  EXPECT_EQ(code, 0);
  const std::string text = content(path_);
  EXPECT_EQ(text.substr(0, 6), "ready\n");
  EXPECT_EQ(lines_in(text), 3U);
  EXPECT_TRUE(text.ends_with("\nend\n"));
}

INSTANTIATE_TEST_SUITE_P(Backends, Access, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
