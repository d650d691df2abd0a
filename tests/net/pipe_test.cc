// SPDX-License-Identifier: MIT
#include "reactor/process/pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <utility>

#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"
#include "tests/support/temporary_folder.h"

namespace reactor {
namespace {

class PipeTest : public LoopTest {
 protected:
  StreamOptions options_;
  Recorder handler;
  std::unique_ptr<Stream> stream;

  void TearDown() override { stream.reset(); }
  bool owned(Loop& loop, UniqueFd fd) {
    return started(open_pipe(loop, std::move(fd), handler, options_));
  }
  bool shared(Loop& loop, int fd) { return started(open_shared_pipe(loop, fd, handler, options_)); }
  bool started(Result<std::unique_ptr<Stream>> result) {
    EXPECT_TRUE(result) << result.error().message();
    if (!result) return false;
    stream = std::move(*result);
    stream->start();
    return true;
  }
  // Returns a file without a name: it is already unlinked.
  static UniqueFd file_with(std::string_view text) {
    const TemporaryFolder folder;
    UniqueFd file(::open(folder.file("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    write_text(file.get(), text);
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
  }
  static void make_blocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK); }
  static bool is_blocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }
};

TEST_P(PipeTest, ReadsToTheEnd) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  make_blocking(pipe.near.get());
  ASSERT_TRUE(owned(loop, std::move(pipe.near)));
  write_text(pipe.far.get(), "some");
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.got == "some"; }));
  EXPECT_LE(run_for(loop, std::chrono::milliseconds(5)), 3) << "it waits";
  write_text(pipe.far.get(), " more");
  pipe.far.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.got, "some more");
  EXPECT_EQ(handler.ends, 1);
  EXPECT_FALSE(handler.error);
}

TEST_P(PipeTest, WritesMoreThanAPipeHolds) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  ASSERT_TRUE(owned(loop, std::move(pipe.far)));
  EXPECT_TRUE(stream->ended()) << "nobody writes to it";
  const std::string text = pattern(500'000);
  stream->write(text);
  EXPECT_GT(stream->queued(), 0U);
  stream->shutdown();
  std::string got;
  EXPECT_TRUE(
      pump(loop, [&] { return (got += read_text(pipe.near.get())).size() == text.size(); }));
  EXPECT_TRUE(got == text);
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_FALSE(handler.error);
}

TEST_P(PipeTest, ASharedOneKeepsItsFlagsAndStaysOpen) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  make_blocking(pipe.near.get());
  for (const char* const text : {"first", "second"}) {
    handler.got.clear();
    ASSERT_TRUE(shared(loop, pipe.near.get()));
    EXPECT_TRUE(is_blocking(pipe.near.get()));
    write_text(pipe.far.get(), text);
    EXPECT_TRUE(run_bounded(loop, [&] { return handler.got == text; }));
    stream.reset();
    write_text(pipe.far.get(), "for others");
    EXPECT_LE(run_for(loop, std::chrono::milliseconds(5)), 3) << "its watch is over";
    EXPECT_EQ(read_text(pipe.near.get()), "for others");
  }
  ASSERT_TRUE(shared(loop, pipe.near.get()));
  pipe.far.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.ends, 1);
}

TEST_P(PipeTest, ASharedOneIsWrittenWithoutWaiting) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  make_blocking(pipe.far.get());
  ASSERT_TRUE(shared(loop, pipe.far.get()));
  const std::string text = pattern(300'000);
  stream->write(text);
  std::string got;
  EXPECT_TRUE(
      pump(loop, [&] { return (got += read_text(pipe.near.get())).size() == text.size(); }));
  EXPECT_TRUE(got == text);
  EXPECT_TRUE(is_blocking(pipe.far.get()));
  stream->close();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(::fcntl(pipe.far.get(), F_GETFD), FD_CLOEXEC) << "still open";
}

TEST_P(PipeTest, AFileIsReadInTurnsWithTheOthers) {
  Loop loop(options());
  const std::string text = pattern(1'000'000);
  const FdPair busy = make_pipe();
  write_text(busy.far.get(), "x");
  int turns = 0;
  const IoWatcher other = get(loop.watch(busy.near.get(), Interest::read, [&](Ready) { ++turns; }));
  const UniqueFd file = file_with(text);
  ASSERT_TRUE(shared(loop, file.get()));
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.got.size() > 200'000; }));
  stream->pause_reading();
  const std::size_t before = handler.got.size();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(handler.got.size(), before) << "paused";
  stream->resume_reading();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_TRUE(handler.got == text);
  EXPECT_EQ(handler.ends, 1);
  EXPECT_GE(turns, 1'000'000 / 65536) << "one read a turn";
}

TEST_P(PipeTest, AFileAndNullMayBeWrittenAndNullIsEmpty) {
  Loop loop(options());
  const TemporaryFolder folder;
  const std::string name = folder.file("f");
  const UniqueFd file(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(owned(loop, UniqueFd(::open(name.c_str(), O_WRONLY | O_CLOEXEC))));
  stream->write("written");
  EXPECT_EQ(stream->queued(), 0U);
  stream->close();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(read_text(file.get()), "written");
  handler.closes = 0;
  ASSERT_TRUE(owned(loop, UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  stream->write("dropped");
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.got, "");
  EXPECT_FALSE(handler.error);
}

TEST_P(PipeTest, AFileIsClosedBeforeOnClose) {
  Loop loop(options());
  UniqueFd file = file_with("some");
  const int number = file.get();
  handler.when_close = [&](Stream&) { EXPECT_EQ(::fcntl(number, F_GETFD), -1); };
  ASSERT_TRUE(owned(loop, std::move(file)));
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.got, "some");
}

TEST_P(PipeTest, ATerminalIsReadByLinesAndItsHangUpIsTheEnd) {
  Loop loop(options());
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_TRUE(master && ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
  ::fcntl(master.get(), F_SETFD, FD_CLOEXEC);
  const UniqueFd terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  ASSERT_TRUE(shared(loop, terminal.get()));
  write_text(master.get(), "half");
  run_for(loop, std::chrono::milliseconds(5));
  EXPECT_EQ(handler.got, "");
  write_text(master.get(), " a line\n");
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.got == "half a line\n"; }));
  EXPECT_TRUE(is_blocking(terminal.get())) << "as the shell left it";
  master.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.ends, 1);
}

TEST_P(PipeTest, ATerminalThatNobodyReadsHoldsNothingUp) {
  Loop loop(options());
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_TRUE(master && ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
  ::fcntl(master.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(master.get(), F_SETFL, O_RDWR | O_NONBLOCK);
  const UniqueFd terminal(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  ASSERT_TRUE(shared(loop, terminal.get()));
  const std::string text = pattern(300'000);
  stream->write(text);
  EXPECT_GT(stream->queued(), 0U);
  EXPECT_TRUE(is_blocking(terminal.get())) << "as the shell left it";
  std::string got;
  EXPECT_TRUE(pump(loop, [&] {
    got += read_text(master.get());
    return stream->queued() == 0;
  }));
  stream->close();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(::fcntl(terminal.get(), F_GETFD), FD_CLOEXEC) << "still open";
}

TEST_P(PipeTest, WhatCanNotBeReadIsAnError) {
  Loop loop(options());
  EXPECT_EQ(open_shared_pipe(loop, -1, handler, options_).error(), std::errc::bad_file_descriptor);
  EXPECT_EQ(open_pipe(loop, UniqueFd(), handler, options_).error(), std::errc::bad_file_descriptor);
  ASSERT_TRUE(owned(loop, UniqueFd(::open("/", O_RDONLY | O_CLOEXEC))));
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.error, std::errc::is_a_directory);
}

#if defined(__linux__)
// The first page of memory is never mapped, so reading it fails with EIO.
TEST_P(PipeTest, AFileThatFailsHasNoEnd) {
  Loop loop(options());
  ASSERT_TRUE(owned(loop, UniqueFd(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC))));
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.closes == 1; }));
  EXPECT_EQ(handler.error, std::errc::io_error);
  EXPECT_EQ(handler.ends, 0);
}
#endif

INSTANTIATE_TEST_SUITE_P(Backends, PipeTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
