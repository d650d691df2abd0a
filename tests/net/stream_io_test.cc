// SPDX-License-Identifier: MIT
// These tests read from and write to Streams, and put backpressure on their peers.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class StreamIo : public LoopTest {};

TEST_P(StreamIo, CarriesBytesBothWays) {
  for (FdPair (*make)() : {&make_tcp_pair, &make_socket_pair}) {
    Loop loop(options());
    Link link(loop, {}, make);
    link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
    link.start();
    EXPECT_EQ(link.handler.opens, 1);
    link.peer.write("hello");
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got == "hello"; }));
    EXPECT_EQ(link.handler.got, "hello");
    link.stream->write(" from outside");
    EXPECT_TRUE(
        pump(loop, [&] { return link.peer.read(), link.peer.got == "hello from outside"; }));
    EXPECT_EQ(link.handler.closes, 0);
  }
}

TEST_P(StreamIo, AServerMaySpeakFirst) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_open = [](Stream& stream) { stream.write("welcome"); };
  link.start();
  link.peer.read();
  EXPECT_EQ(link.peer.got, "welcome");
}

// An empty span may have a null pointer. Writing it sends nothing.
TEST_P(StreamIo, NothingCanBeWritten) {
  Loop loop(options());
  Link link(loop);
  const std::span<const std::byte> nothing;
  link.handler.when_open = [&](Stream& stream) {
    EXPECT_EQ(stream.collect(nothing), nullptr);
    stream.write(nothing);
    stream.write("a");
    stream.write(nothing);
    EXPECT_NE(stream.collect(std::as_bytes(std::span("b", 1))), nullptr);
  };
  link.start();
  link.stream->write(nothing);
  link.peer.read();
  EXPECT_EQ(link.peer.got, "ab");
  EXPECT_EQ(link.stream->queued(), 0U);
}

// collect() returns null if it did not collect the bytes.
TEST_P(StreamIo, OnlyWhatACallbackWritesIsCollected) {
  Loop loop(options());
  Link link(loop);
  const std::string large(16 * 1024, 'x');
  const auto bytes = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  link.handler.when_open = [&](Stream& stream) {
    EXPECT_NE(stream.collect(bytes(large)), nullptr);
    EXPECT_EQ(stream.collect(bytes(large + "x")), nullptr);
  };
  link.start();
  EXPECT_EQ(link.stream->collect(bytes("outside")), nullptr);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() >= large.size(); }));
  EXPECT_EQ(link.peer.got, large) << "what was not collected was not written";
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.shutdown();
    EXPECT_EQ(stream.collect(bytes("after the end")), nullptr);
  };
  link.peer.write("go");
  EXPECT_TRUE(pump(loop, [&] { return link.handler.got == "go"; }));
}

TEST_P(StreamIo, LikelyReadableReadsAtOnce) {
  Loop loop(options());
  Link link(loop);
  link.peer.write("early");
  EXPECT_TRUE(pump(loop, [&] {
    std::array<char, 5> peek;
    return ::recv(link.stream->fd(), peek.data(), peek.size(), MSG_PEEK | MSG_DONTWAIT) == 5;
  }));
  link.start(true);
  EXPECT_EQ(link.handler.got, "early") << "before any turn";
}

TEST_P(StreamIo, NothingIsReadBeforeStart) {
  Loop loop(options());
  Link link(loop);
  link.peer.write("early");
  run_for(loop, milliseconds(5));
  EXPECT_EQ(link.handler.got, "");
  link.start();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "early"; }));
}

TEST_P(StreamIo, TheHandlersOwnBufferIsUsed) {
  Loop loop(options());
  FdPair pair = make_tcp_pair();
  BufferRecorder<7> handler;
  std::size_t largest = 0;
  handler.when_data = [&](Stream&, std::string_view text) {
    largest = std::max(largest, text.size());
    EXPECT_EQ(static_cast<const void*>(text.data()),
              static_cast<const void*>(handler.buffer.data()));
  };
  const StreamOptions settings;
  Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
  stream.start();
  const std::string text = pattern(100);
  write_text(pair.far.get(), text);
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.got.size() == text.size(); }));
  EXPECT_EQ(handler.got, text);
  EXPECT_EQ(largest, 7U);
}

TEST_P(StreamIo, TheHandlerCanBeExchanged) {
  Loop loop(options());
  Link link(loop);
  Recorder second;
  link.handler.when_data = [&](Stream& stream, std::string_view) { stream.set_handler(second); };
  link.start();
  link.peer.write("one");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "one"; }));
  link.peer.write("two");
  EXPECT_TRUE(run_bounded(loop, [&] { return second.got == "two"; }));
  EXPECT_EQ(link.handler.got, "one");
  EXPECT_EQ(&link.stream->handler(), &second);
}

TEST_P(StreamIo, SmallWritesOfACallbackKeepTheirOrderWithLargeOnes) {
  Loop loop(options());
  Link link(loop);
  const std::string large = pattern(200000);
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.write("a");
    stream.write("b");
    stream.write(large);
    stream.write("c");
    stream.write_now(std::as_bytes(std::span("d", 1)));
    const auto room = stream.write_room(1);
    EXPECT_GE(room.size(), 1U);
    room[0] = std::byte{'e'};
    stream.wrote(1);
    stream.write("f");
  };
  link.start();
  link.peer.write("go");
  const std::string expected = "ab" + large + "cdef";
  EXPECT_TRUE(
      pump(loop, [&] { return link.peer.read(), link.peer.got.size() >= expected.size(); }));
  EXPECT_EQ(link.peer.got, expected);
}

TEST_P(StreamIo, WriteRoomOutsideACallbackSendsAtOnce) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const auto room = link.stream->write_room(3);
  std::fill_n(room.begin(), 3, std::byte{'x'});
  link.stream->wrote(3);
  link.peer.read();
  EXPECT_EQ(link.peer.got, "xxx");
}

// A callback writes to its own Stream and to another one. Each peer gets its own bytes, in order.
TEST_P(StreamIo, ACallbackMayWriteToOtherStreams) {
  Loop loop(options());
  Link first(loop), second(loop);
  first.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.write("1");
    second.stream->write("2");
    stream.write("1");
    const auto room = second.stream->write_room(1);
    room[0] = std::byte{'2'};
    second.stream->wrote(1);
    stream.write("1");
  };
  first.start();
  second.start();
  first.peer.write("go");
  EXPECT_TRUE(pump(loop, [&] {
    first.peer.read();
    second.peer.read();
    return first.peer.got.size() >= 3 && second.peer.got.size() >= 2;
  }));
  EXPECT_EQ(first.peer.got, "111");
  EXPECT_EQ(second.peer.got, "22");
}

TEST_P(StreamIo, PausedReadingHoldsThePeerBackAndCostsNothing) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->pause_reading();
  link.peer.write("waiting");
  EXPECT_LE(run_for(loop, milliseconds(20)), 4);
  EXPECT_EQ(link.handler.got, "");
  link.stream->resume_reading();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "waiting"; }));
}

TEST_P(StreamIo, PausingInACallbackIsObeyed) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_data = [](Stream& stream, std::string_view) { stream.pause_reading(); };
  link.start();
  link.peer.write("one");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "one"; }));
  link.peer.write("two");
  EXPECT_LE(run_for(loop, milliseconds(20)), 4);
  EXPECT_EQ(link.handler.got, "one");
  link.stream->resume_reading();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "onetwo"; }));
}

TEST_P(StreamIo, TheQueueHoldsBackAtTheHighMarkAndDrainsAtTheLow) {
  Loop loop(options());
  StreamOptions settings;
  settings.high_water = 100000;
  settings.low_water = 1000;
  Link link(loop, settings);
  link.start();
  const std::string block = pattern(50000);
  std::string sent;
  while (link.stream->writable() && sent.size() < 50000000) {
    link.stream->write(block);
    sent += block;
  }
  EXPECT_FALSE(link.stream->writable());
  EXPECT_GE(link.stream->queued(), 100000U);
  EXPECT_EQ(link.handler.drains, 0);
  link.handler.when_drain = [&](Stream& stream) {
    EXPECT_LE(stream.queued(), 1000U);
    EXPECT_TRUE(stream.writable());
  };
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() == sent.size(); }));
  EXPECT_EQ(link.peer.got, sent);
  EXPECT_EQ(link.handler.drains, 1);
  EXPECT_EQ(link.stream->queued(), 0U);
}

TEST_P(StreamIo, OnDrainMayGoOnWriting) {
  Loop loop(options());
  Link link(loop);
  const std::string block = pattern(100000);
  std::size_t sent = 0;
  link.handler.when_drain = [&](Stream& stream) {
    while (stream.writable() && sent < 20000000) {
      stream.write(block);
      sent += block.size();
    }
  };
  link.start();
  link.handler.when_drain(*link.stream);
  std::size_t got = 0;
  EXPECT_TRUE(pump(loop, [&] {
    link.peer.read();
    got += link.peer.got.size();
    link.peer.got.clear();
    return got == 20000000;
  }));
  EXPECT_EQ(sent, got);
}

TEST_P(StreamIo, AFullQueueEndsTheConnection) {
  Loop loop(options());
  StreamOptions settings;
  settings.queue_limit = 200000;
  Link link(loop, settings);
  link.start();
  const std::string block = pattern(100000);
  for (int i = 0; i < 1000 && !link.stream->closing(); ++i) {
    link.stream->write(block);
    EXPECT_EQ(link.handler.closes, 0) << "never from inside write()";
  }
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, Errc::queue_full);
}

TEST_P(StreamIo, AQueueMayBeExactlyAsLargeAsItsLimit) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const std::string block = pattern(100000);
  while (link.stream->queued() == 0) link.stream->write(block);
  link.options.queue_limit = link.stream->queued() + 100;
  link.stream->write(std::string(100, 'x'));
  EXPECT_EQ(link.stream->queued(), link.options.queue_limit);
  EXPECT_FALSE(link.stream->closing());
  link.stream->write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, Errc::queue_full);
}

TEST_P(StreamIo, ALowMarkOfZeroDrainsWithTheLastByte) {
  Loop loop(options());
  StreamOptions settings;
  settings.low_water = 0;
  Link link(loop, settings);
  link.start();
  const std::string block = pattern(100000);
  while (link.stream->writable()) link.stream->write(block);
  link.handler.when_drain = [](Stream& stream) { EXPECT_EQ(stream.queued(), 0U); };
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.handler.drains > 0; }));
  EXPECT_EQ(link.handler.drains, 1);
}

TEST_P(StreamIo, WritesAfterTheEndAreIgnored) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->write("last");
  link.stream->shutdown();
  link.stream->write("too late");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.end; }));
  EXPECT_EQ(link.peer.got, "last");
  link.stream->close();
  link.stream->write("much too late");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  link.stream->write("nobody is there");
}

TEST_P(StreamIo, AddressesAreThoseOfTheSocket) {
  Loop loop(options());
  Link link(loop);
  link.start();
  EXPECT_EQ(link.stream->peer().value(), Socket::local_address(link.peer.fd.get()).value());
  EXPECT_EQ(link.stream->local().value(), Socket::peer_address(link.peer.fd.get()).value());
}

TEST_P(StreamIo, AnExceptionFromOnDataLeavesRunAndTheStreamGoesOn) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_data = [](Stream& stream, std::string_view text) {
    stream.write(text);
    if (text == "bad") throw 3;
  };
  link.start();
  link.peer.write("bad");
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
  link.peer.write("good");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got == "badgood"; }));
}

// The loop does not watch the Stream yet when its first callback throws.
TEST_P(StreamIo, AnExceptionFromTheFirstCallbackIsNoEndEither) {
  for (const bool opening : {false, true}) {
    Loop loop(options());
    Link link(loop);
    if (opening) link.handler.when_open = [](Stream&) { throw 3; };
    link.handler.when_data = [](Stream&, std::string_view text) {
      if (text == "bad") throw 3;
    };
    link.peer.write("bad");
    EXPECT_THROW(link.start(true), int);
    if (opening) {
      EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
    }
    link.peer.write("good");
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "badgood"; }));
    link.peer.fd.reset();
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes == 1; }));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamIo, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
