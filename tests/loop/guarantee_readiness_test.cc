// SPDX-License-Identifier: MIT
// G5: readiness is a hint. Hang-up and error are reported as readable and writable, so that the
// next call returns the true error and no last byte is lost. A watcher without interest never
// spins.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class GuaranteesReadiness : public LoopTest {};

// Reads once and notes the result of read(2): bytes, the end, or an error.
struct Reader {
  std::string bytes;
  bool end = false;
  int error = 0;

  [[nodiscard]] bool over() const { return end || error != 0; }
  void read_once(int fd, std::size_t limit = 65536) {
    std::vector<char> buffer(limit);
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count > 0) {
      bytes.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count == 0) {
      end = true;
    } else if (errno != EAGAIN) {
      error = errno;
    }
  }
};

TEST_P(GuaranteesReadiness, G5_OnlyWhatWasAskedForIsReported) {
  Loop loop(options());
  FdPair pair = make_socket_pair();
  write_text(pair.far.get(), "!");
  std::vector<Interest> seen;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read,
                                     [&](Ready ready) { seen.push_back(ready.bits()); }));
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(watcher.set(Interest::write));
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(watcher.set(Interest::read_write));
  EXPECT_TRUE(loop.poll());
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0], Interest::read);
  EXPECT_EQ(seen[1], Interest::write);
  EXPECT_EQ(seen[2], Interest::read_write) << "one call for both";
}

class SharedTarget final : public PollTarget {
 public:
  SharedTarget(Loop& loop, int fd) : PollTarget(fd), loop_(loop) {}
  ~SharedTarget() { loop_.detach(*this, Detach::staying); }
  void on_ready(Ready ready) override { writable = writable || ready.writable(); }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"shared", fd(), {}, {}}; }
  bool writable = false;

 private:
  Loop& loop_;
};

// epoll(7) can't modify a descriptor that it watches with EPOLLEXCLUSIVE.
TEST_P(GuaranteesReadiness, G5_TheInterestInASharedDescriptorCanGrow) {
  Loop loop(options());
  const FdPair pair = make_socket_pair();
  SharedTarget target(loop, pair.near.get());
  ASSERT_TRUE(loop.attach(target, Interest::read, false, Sharing::shared));
  EXPECT_TRUE(loop.poll());
  EXPECT_FALSE(target.writable);
  ASSERT_TRUE(loop.set_interest(target, Interest::read_write));
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(target.writable);
}

TEST_P(GuaranteesReadiness, G5_ReadinessRepeatsUntilItIsUsed) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "abc");
  std::string got;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready ready) {
    EXPECT_TRUE(ready.readable());
    got += read_text(pipe.near.get(), 1);
  }));
  for (int turn = 0; turn < 5; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(got, "abc");
}

// The callback that runs first reads the bytes that the other's event announced.
TEST_P(GuaranteesReadiness, G5_AHintMayBeOutdated) {
  Loop loop(options());
  std::array<FdPair, 2> pipes = {make_pipe(), make_pipe()};
  std::array<IoWatcher, 2> watchers;
  int calls = 0, empty = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    write_text(pipes[i].far.get(), "!");
    watchers[i] = get(loop.watch(pipes[i].near.get(), Interest::read, [&, i](Ready) {
      ++calls;
      if (read_text(pipes[i].near.get()).empty()) {
        ++empty;
        EXPECT_EQ(errno, EAGAIN);
      }
      static_cast<void>(read_text(pipes[1 - i].near.get()));
    }));
  }
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_LE(calls, 2);
  EXPECT_LE(empty, 1);
}

TEST_P(GuaranteesReadiness, G5_AHangUpIsReadable) {
  for (FdPair (*make)() : {&make_pipe, &make_socket_pair, &make_tcp_pair}) {
    Loop loop(options());
    FdPair pair = make();
    Reader reader;
    IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read, [&](Ready ready) {
      EXPECT_TRUE(ready.readable());
      reader.read_once(pair.near.get());
    }));
    pair.far.reset();
    EXPECT_TRUE(run_bounded(loop, [&] { return reader.over(); }));
    EXPECT_TRUE(reader.end);
  }
}

TEST_P(GuaranteesReadiness, G5_AHangUpIsWritable) {
  Loop loop(options());
  FdPair pair = make_socket_pair();
  fill(pair.near.get());
  int error = 0;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::write, [&](Ready ready) {
    EXPECT_TRUE(ready.writable());
    if (::send(pair.near.get(), "x", 1, MSG_NOSIGNAL) < 0) error = errno;
    watcher.stop();
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(error, 0) << "full, not ready";
  pair.far.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return error != 0; }));
  EXPECT_TRUE(error == EPIPE || error == ECONNRESET) << error;
}

TEST_P(GuaranteesReadiness, G5_TheWriteEndOfAPipeLearnsThatItsReaderHasGone) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  fill(pipe.far.get());
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.far.get(), Interest::write, [&](Ready ready) {
    EXPECT_TRUE(ready.writable());
    ++calls;
    watcher.stop();
  }));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 0);
  pipe.near.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; }));
}

TEST_P(GuaranteesReadiness, G5_AResetIsReadableAndWritableAndTheNextCallTellsIt) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  for (const Interest interest : {Interest::read, Interest::write}) {
    Loop loop(options());
    FdPair pair = make_tcp_pair();
    if (interest == Interest::write) fill(pair.near.get());
    int error = 0;
    IoWatcher watcher = get(loop.watch(pair.near.get(), interest, [&](Ready ready) {
      EXPECT_EQ(ready.bits(), interest);
      char byte = 0;
      const ssize_t result = interest == Interest::read
                                 ? ::recv(pair.near.get(), &byte, 1, 0)
                                 : ::send(pair.near.get(), &byte, 1, MSG_NOSIGNAL);
      if (result < 0 && errno != EAGAIN) error = errno;
      if (error != 0) watcher.stop();
    }));
    reset_on_close(pair.far.get());
    pair.far.reset();
    EXPECT_TRUE(run_bounded(loop, [&] { return error != 0; }));
    EXPECT_TRUE(error == ECONNRESET || error == EPIPE) << error;
  }
}

TEST_P(GuaranteesReadiness, G5_TheLastByteBeforeAnEndIsNotLost) {
  for (FdPair (*make)() : {&make_pipe, &make_socket_pair, &make_tcp_pair}) {
    Loop loop(options());
    FdPair pair = make();
    Reader reader;
    IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read, [&](Ready) {
      if (!reader.over()) reader.read_once(pair.near.get(), 3);
    }));
    write_text(pair.far.get(), "the last words");
    pair.far.reset();
    EXPECT_TRUE(run_bounded(loop, [&] { return reader.over(); }));
    EXPECT_EQ(reader.bytes, "the last words");
    EXPECT_TRUE(reader.end);
  }
}

TEST_P(GuaranteesReadiness, G5_AfterAHalfCloseTheOtherWayStillWorks) {
  for (FdPair (*make)() : {&make_socket_pair, &make_tcp_pair}) {
    Loop loop(options());
    FdPair pair = make();
    Reader reader;
    IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read_write, [&](Ready ready) {
      EXPECT_TRUE(ready.writable());
      if (ready.readable()) reader.read_once(pair.near.get());
    }));
    EXPECT_EQ(::shutdown(pair.far.get(), SHUT_WR), 0);
    EXPECT_TRUE(run_bounded(loop, [&] { return reader.end; }));
    write_text(pair.near.get(), "answer");
    watcher.stop();
    Reader answer;
    IoWatcher other = get(loop.watch(pair.far.get(), Interest::read,
                                     [&](Ready) { answer.read_once(pair.far.get()); }));
    EXPECT_TRUE(run_bounded(loop, [&] { return !answer.bytes.empty(); }));
    EXPECT_EQ(answer.bytes, "answer");
  }
}

// Without interest, neither data, nor an end, nor a reset may wake the loop again and again.
TEST_P(GuaranteesReadiness, G5_WithoutInterestNothingSpins) {
  for (const bool reset : {false, true}) {
    for (const bool registered_before : {false, true}) {
      Loop loop(options());
      FdPair pair = make_tcp_pair();
      int calls = 0;
      IoWatcher watcher =
          get(loop.watch(pair.near.get(), registered_before ? Interest::read : Interest::none,
                         [&](Ready) { ++calls; }));
      EXPECT_TRUE(loop.poll());
      EXPECT_TRUE(watcher.set(Interest::none));
      EXPECT_EQ(watcher.interest(), Interest::none);
      if (reset) reset_on_close(pair.far.get());
      pair.far.reset();
      EXPECT_LE(run_for(loop, milliseconds(50)), 6);
      EXPECT_EQ(calls, 0);
      EXPECT_TRUE(watcher.set(Interest::read));
      EXPECT_TRUE(run_bounded(loop, [&] { return calls > 0; })) << "seen on resume";
      Reader reader;
      reader.read_once(pair.near.get());
      const bool told = reset && !on_libkqueue(GetParam());  // libkqueue consumes the error
      EXPECT_EQ(reader.error, told ? ECONNRESET : 0);
      EXPECT_EQ(reader.end, !told);
    }
  }
}

TEST_P(GuaranteesReadiness, G5_InterestDroppedInTheCallbackIsObeyed) {
  Loop loop(options());
  FdPair pair = make_socket_pair();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pair.near.get(), Interest::read_write, [&](Ready ready) {
    ++calls;
    EXPECT_FALSE(ready.readable());
    EXPECT_TRUE(watcher.set(Interest::read));
  }));
  EXPECT_LE(run_for(loop, milliseconds(30)), 6) << "an idle socket is always writable";
  EXPECT_EQ(calls, 1);
  write_text(pair.far.get(), "!");
  EXPECT_TRUE(watcher.set(Interest::none));
  EXPECT_LE(run_for(loop, milliseconds(30)), 6);
  EXPECT_EQ(calls, 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesReadiness, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
