// SPDX-License-Identifier: MIT
#include "reactor/process/pipe_transport.h"

#include <csignal>
#include <memory>
#include <string>

#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

// PipeLink has a Stream at one end of a pipe, and a descriptor at the other.
struct PipeLink {
  PipeLink(Loop& loop, bool reads) {
    FdPair pair = make_pipe();
    UniqueFd& own = reads ? pair.near : pair.far;
    other = std::move(reads ? pair.far : pair.near);
    auto transport = std::make_unique<PipeTransport>(own.get());
    stream = std::make_unique<Stream>(loop, Socket(std::move(own)), handler, options);
    stream->set_transport(std::move(transport));
    stream->start();
  }

  StreamOptions options;
  Recorder handler;
  UniqueFd other;
  std::unique_ptr<Stream> stream;
};

class Pipes : public LoopTest {};

// The caller of start() may still have to prepare something.
TEST_P(Pipes, WhatIsThereAlreadyIsNotReadInsideStart) {
  Loop loop(options());
  FdPair pair = make_pipe();
  write_text(pair.far.get(), "early");
  Recorder handler;
  const StreamOptions settings;
  auto transport = std::make_unique<PipeTransport>(pair.near.get());
  Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
  stream.set_transport(std::move(transport));
  stream.start();
  EXPECT_EQ(handler.got, "");
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.got == "early"; }));
}

// SIGPIPE neither kills the process nor stays pending or blocked.
TEST_P(Pipes, NobodyReadsIsAnErrorAndNoSignal) {
  Loop loop(options());
  PipeLink link(loop, false);
  EXPECT_LE(run_for(loop, milliseconds(5)), 3) << "an idle one does not spin";
  link.other.reset();
  EXPECT_LE(run_for(loop, milliseconds(5)), 3) << "nor one without a reader";
  link.stream->write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::broken_pipe);
  sigset_t pending, blocked;
  ::sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  EXPECT_EQ(sigismember(&blocked, SIGPIPE), 0);
}

// An application may block SIGPIPE itself. The signal is pending afterwards only if it was pending
// before.
TEST_P(Pipes, ABlockedSignalIsPendingAfterwardsOnlyIfItWasBefore) {
  sigset_t pipe, before, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  for (const bool was_pending : {false, true}) {
    if (was_pending) ::pthread_kill(::pthread_self(), SIGPIPE);
    Loop loop(options());
    PipeLink link(loop, false);
    link.other.reset();
    link.stream->write("x");
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    ::sigpending(&pending);
    EXPECT_EQ(sigismember(&pending, SIGPIPE) == 1, was_pending);
  }
  int number = 0;
  if (sigismember(&pending, SIGPIPE) == 1) ::sigwait(&pipe, &number);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_P(Pipes, WritingToAReadOnlyEndFails) {
  Loop loop(options());
  PipeLink link(loop, true);
  link.stream->write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::bad_file_descriptor);
}

INSTANTIATE_TEST_SUITE_P(Backends, Pipes, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
