// SPDX-License-Identifier: MIT
// These tests cover Stream::send_file().
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"
#include "tests/support/script_transport.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

// Returns a file without a name: it is already unlinked.
UniqueFd file_with(std::string_view text) {
  std::FILE* const file = std::tmpfile();
  EXPECT_NE(file, nullptr);
  EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
  std::fflush(file);
  UniqueFd fd(::dup(::fileno(file)));
  std::fclose(file);
  return fd;
}

// The peer has closed. So the first piece of the file makes it reset the connection, and the next
// piece fails, although sendfile(2) returns what it has sent.
TEST(SendFile, AFileThatBreaksOffRaisesNoSigpipe) {
  const UniqueFd file = file_with(std::string(1 << 20, 'x'));
  for (int attempt = 0; attempt < 20; ++attempt) {
    FdPair pair = make_tcp_pair();
    pair.far.reset();
    IoResult sent = Socket::send_file(pair.near.get(), file.get(), 0, 1 << 20);
    for (int more = 0; sent.ok() && more < 20; ++more) {
      sent = Socket::send_file(pair.near.get(), file.get(), 0, 1 << 20);
    }
    EXPECT_TRUE(sent.is_error()) << "and the process lives";
  }
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

class StreamFile : public LoopTest {
 protected:
  static bool run_to(Loop& loop, Link& link, std::size_t size) {
    return pump(loop, [&] {
      link.peer.read();
      return link.peer.got.size() >= size || link.handler.closes > 0;
    });
  }
};

TEST_P(StreamFile, ASmallOneLeavesAtOnce) {
  for (FdPair (*make)() : {&make_tcp_pair, &make_socket_pair}) {
    Loop loop(options());
    Link link(loop, {}, make);
    link.start();
    link.stream->send_file(file_with("0123456789"), 2, 5);
    EXPECT_TRUE(link.stream->writable());
    EXPECT_TRUE(run_to(loop, link, 5));
    EXPECT_EQ(link.peer.got, "23456");
    link.stream->send_file(file_with("abc"), 0, 0);
    EXPECT_TRUE(link.stream->writable()) << "nothing of a file is nothing";
    EXPECT_EQ(link.handler.drains, 0);
    EXPECT_EQ(link.stream->bytes_written(), 5U);
  }
}

TEST_P(StreamFile, KeepsItsPlaceBetweenWrites) {
  Loop loop(options());
  Link link(loop);
  const std::string text = pattern(8 << 20);
  const std::string before = pattern(300000), after = pattern(70000);
  link.start();
  link.stream->write(before);
  const std::size_t first = link.stream->queued();
  ASSERT_GT(first, 0U);
  link.stream->send_file(file_with(text), 0, text.size());
  EXPECT_FALSE(link.stream->writable());
  link.stream->write(after);
  link.stream->send_file(file_with("the second file"), 4, 6);
  link.stream->write("!");
  EXPECT_EQ(link.stream->queued(), first + after.size() + 1);
  const std::string all = before + text + after + "second!";
  // The reader is slow, so it lags behind all the way.
  std::string got;
  EXPECT_TRUE(pump(loop, [&] {
    got += read_text(link.peer.fd.get(), 200000);
    return got.size() >= all.size() || link.handler.closes > 0;
  }));
  EXPECT_TRUE(got == all) << got.size() << " of " << all.size();
  EXPECT_TRUE(link.stream->writable());
  EXPECT_EQ(link.stream->queued(), 0U);
  EXPECT_GE(link.handler.drains, 1);
  EXPECT_LE(link.handler.drains, 2);
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(StreamFile, WhoAsksAndTakesNothingGetsNoMoreOfThem) {
  Loop loop(options());
  Link link(loop, {}, &make_socket_pair);
  const std::string text = pattern(1 << 20);
  const UniqueFd file = file_with(text);
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.send_file(UniqueFd(::dup(file.get())), 0, text.size());
  };
  link.start();
  for (int i = 0; i < 50; ++i) {
    link.peer.write("x");
    EXPECT_TRUE(loop.poll());
  }
  EXPECT_EQ(link.handler.got, "x") << "the first one did not leave at once";
  EXPECT_LE(run_for(loop, milliseconds(5)), 3);
  EXPECT_TRUE(run_to(loop, link, text.size()));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got.size() == 50; }));
  EXPECT_EQ(link.handler.drains, 1);
}

TEST_P(StreamFile, FromACallbackInOrderWithWhatIsCollected) {
  Loop loop(options());
  Link link(loop);
  const std::string text = pattern(100000);
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.write("head ");
    stream.send_file(file_with(text), 0, text.size());
    stream.write(" tail");
    stream.close();
  };
  link.start();
  link.peer.write("x");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.peer.got, "head " + text + " tail");
  EXPECT_TRUE(link.peer.end);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_FALSE(link.handler.error);
}

TEST_P(StreamFile, AShorterOneIsAnErrorForBoth) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->send_file(file_with("0123456789"), 4, 7);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, Errc::file_truncated);
  EXPECT_EQ(link.peer.error, ECONNRESET) << "no end that it could believe";
}

TEST_P(StreamFile, OneThatIsCutWhileItIsSentToo) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const std::string text = pattern(8 << 20);
  UniqueFd file = file_with(text);
  const UniqueFd other(::dup(file.get()));
  link.stream->send_file(std::move(file), 0, text.size());
  ASSERT_EQ(::ftruncate(other.get(), 5 << 20), 0);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.handler.error, Errc::file_truncated);
  EXPECT_EQ(link.peer.error, ECONNRESET);
  EXPECT_LE(link.peer.got.size(), std::size_t{5 << 20});
}

TEST_P(StreamFile, WhatIsNoFileIsAnError) {
  Loop loop(options());
  for (int which = 0; which < 2; ++which) {
    Link link(loop);
    link.start();
    FdPair pair = make_pipe();
    UniqueFd bad(which == 0 ? -1 : pair.far.release());  // the write end can't be read
    link.stream->send_file(std::move(bad), 0, 5);
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_EQ(link.handler.error, std::errc::bad_file_descriptor);
  }
}

TEST_P(StreamFile, APeerThatIsGoneIsAnErrorAndNoSignal) {
  Loop loop(options());
  Link link(loop, {}, &make_socket_pair);
  link.handler.when_end = [](Stream&) {};
  link.start();
  link.peer.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.ends > 0; }));
  link.stream->send_file(file_with("0123456789"), 0, 10);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::broken_pipe);
}

TEST_P(StreamFile, ThroughATransportItIsCopied) {
  Loop loop(options());
  ScriptTransport::Script script;
  script.piece = 5000;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  const std::string text = pattern(1 << 20);
  link.stream->write("HEAD");
  link.stream->send_file(file_with("...." + text), 4, text.size());
  link.stream->write("TAIL");
  link.stream->shutdown();
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_TRUE(link.peer.got == marked("HEAD" + text + "TAIL")) << link.peer.got.size();
  EXPECT_EQ(script.ends, 1);
}

TEST_P(StreamFile, ThroughATransportAShorterOneIsAnErrorToo) {
  Loop loop(options());
  ScriptTransport::Script script;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.stream->send_file(file_with("0123456789"), 4, 7);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.handler.error, Errc::file_truncated);
  EXPECT_EQ(link.peer.error, ECONNRESET);
  EXPECT_EQ(script.ends, 0);
}

TEST_P(StreamFile, KeepsToTheRateAndTheTimes) {
  Loop loop(options());
  Link link(loop);
  link.stream->set_write_rate(2000000);
  link.stream->set_write_timeout(milliseconds(30));
  link.start();
  const std::string text = pattern(400000);
  const TimePoint start = monotonic_now();
  link.stream->send_file(file_with(text), 0, text.size());
  EXPECT_TRUE(run_to(loop, link, text.size()));
  EXPECT_GE(monotonic_now() - start, milliseconds(145)) << "200, less a rest before";
  EXPECT_EQ(link.peer.got, text);
  EXPECT_EQ(link.handler.drains, 1);
  link.stream->set_write_rate(0);
  link.stream->send_file(file_with(pattern(8 << 20)), 0, 8 << 20);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; })) << "nobody reads";
  EXPECT_EQ(link.handler.error, Errc::timed_out);
}

// This transport takes no byte until `takes` is set, and then every byte.
struct Drain final : Transport {
  explicit Drain(bool& is_open, std::size_t& all) : takes(is_open), taken(all) {}
  IoResult read(int, std::span<std::byte>) override { return IoResult::blocked(); }
  IoResult write(int, std::span<const std::byte> bytes) override {
    if (!takes) return IoResult::blocked();
    taken += bytes.size();
    return IoResult::bytes(bytes.size());
  }
  IoResult end_writing(int) noexcept override { return IoResult::bytes(0); }
  bool& takes;
  std::size_t& taken;
};

TEST_P(StreamFile, G10_ManyLeaveInTurnsWithTheOthers) {
  Loop loop(options());
  Link link(loop);
  bool takes = false;
  std::size_t taken = 0;
  link.stream->set_transport(std::make_unique<Drain>(takes, taken));
  link.start();
  const std::string text = pattern(300000);
  for (int i = 0; i < 20; ++i) link.stream->send_file(file_with(text), 0, text.size());
  takes = true;
  EXPECT_TRUE(pump(loop, [&] {
    EXPECT_LE(taken, 1000000U) << "in one turn";
    return std::exchange(taken, 0) == 0 && link.handler.drains == 1;
  }));
  EXPECT_TRUE(link.stream->writable());
}

TEST_P(StreamFile, MayBeDestroyedOnTheWay) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->send_file(file_with(pattern(8 << 20)), 0, 8 << 20);
  run_for(loop, milliseconds(2));
  link.stream.reset();
  EXPECT_EQ(link.handler.closes, 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamFile, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
