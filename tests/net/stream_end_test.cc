// SPDX-License-Identifier: MIT
// A Stream ends by its peer, by close(), by an error, by time, or by its destruction. on_close() is
// called exactly once, or never if the Stream was destroyed first.
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class StreamEnd : public LoopTest {};

bool pump_to_end(Loop& loop, Link& link) {
  return pump(loop, [&] { return link.peer.read(), link.peer.over(); });
}

TEST_P(StreamEnd, ThePeersEndClosesByDefault) {
  for (FdPair (*make)() : {&make_tcp_pair, &make_socket_pair}) {
    Loop loop(options());
    Link link(loop, {}, make);
    link.start();
    link.peer.fd.reset();
    EXPECT_TRUE(run_to_close(loop, link));
    EXPECT_EQ(link.handler.ends, 1);
    EXPECT_FALSE(link.handler.error);
    EXPECT_TRUE(loop.run()) << "nothing is left";
    EXPECT_EQ(link.handler.closes, 1);
  }
}

TEST_P(StreamEnd, CloseSendsWhatIsQueuedAndThenTheEnd) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const std::string text = pattern(3000000);
  link.stream->write(text);
  EXPECT_GT(link.stream->queued(), 0U);
  link.stream->close();
  EXPECT_TRUE(link.stream->closing());
  EXPECT_EQ(link.handler.closes, 0) << "never from inside close()";
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_TRUE(link.peer.end);
  EXPECT_EQ(link.peer.got, text);
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_FALSE(link.handler.error);
}

// A Stream that is closing and waits for its queue to drain does not wake up for input that it
// ignores.
TEST_P(StreamEnd, ClosedInACallbackWithAQueueItIgnoresInput) {
  for (const bool extras : {false, true}) {
    Loop loop(options());
    Link link(loop, {}, &make_socket_pair);
    if (extras) link.stream->count_bytes();
    const std::string text = pattern(20000);
    std::size_t written = 0;
    link.handler.when_data = [&](Stream& stream, std::string_view) {
      for (; stream.queued() == 0; written += text.size()) stream.write(text);
      stream.close();
    };
    link.start();
    link.peer.write("x");
    EXPECT_TRUE(run_bounded(loop, [&] { return link.stream->closing(); }));
    link.peer.write("more");
    EXPECT_LE(run_for(loop, milliseconds(10)), 4);
    EXPECT_TRUE(pump_to_end(loop, link));
    EXPECT_EQ(link.peer.got.size(), written);
  }
}

TEST_P(StreamEnd, CloseTwiceIsCloseOnce) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->close();
  link.stream->close();
  link.stream->fail(Errc::timed_out);
  EXPECT_TRUE(run_to_close(loop, link));
  link.stream->close();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(link.handler.closes, 1);
}

TEST_P(StreamEnd, CloseInEachCallback) {
  for (const Moment moment : {Moment::open, Moment::data, Moment::end}) {
    SCOPED_TRACE(static_cast<int>(moment));
    Loop loop(options());
    Link link(loop);
    link.handler.when(moment, [&](Stream& stream) {
      stream.write("bye");
      stream.close();
      EXPECT_EQ(link.handler.closes, 0);
    });
    link.start();
    if (moment == Moment::data) link.peer.write("x");
    if (moment == Moment::end) ::shutdown(link.peer.fd.get(), SHUT_WR);
    EXPECT_TRUE(pump_to_end(loop, link));
    EXPECT_TRUE(link.peer.end);
    EXPECT_EQ(link.peer.got, "bye");
    EXPECT_EQ(link.handler.closes, 1);
  }
}

TEST_P(StreamEnd, AResetIsReportedAsItsError) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  Loop loop(options());
  Link link(loop);
  link.start();
  reset_on_close(link.peer.fd.get());
  link.peer.fd.reset();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.error, std::errc::connection_reset);
  EXPECT_EQ(link.handler.ends, 0);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(link.handler.closes, 1);
}

TEST_P(StreamEnd, WritingToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  Loop loop(options());
  Link link(loop, {}, &make_socket_pair);
  link.handler.when_end = [](Stream&) {};
  link.start();
  link.peer.fd.reset();
  link.stream->write("anybody?");
  EXPECT_EQ(link.handler.closes, 0) << "never from inside write()";
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.error, std::errc::broken_pipe);
}

TEST_P(StreamEnd, FailEndsWithThatErrorAndDropsTheQueue) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->write(pattern(5000000));
  EXPECT_GT(link.stream->queued(), 0U);
  link.stream->fail(std::make_error_code(std::errc::protocol_error));
  EXPECT_EQ(link.handler.closes, 0);
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.error, std::errc::protocol_error);
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer.error, ECONNRESET) << "so that a part is not taken for the whole";
}

TEST_P(StreamEnd, HalfCloseByThePeerLeavesTheOtherWayOpen) {
  for (FdPair (*make)() : {&make_tcp_pair, &make_socket_pair}) {
    Loop loop(options());
    Link link(loop, {}, make);
    link.handler.when_end = [](Stream&) {};
    link.start();
    link.peer.write("question");
    ::shutdown(link.peer.fd.get(), SHUT_WR);
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.ends > 0; }));
    EXPECT_EQ(link.handler.got, "question");
    EXPECT_TRUE(link.stream->ended());
    EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "an end is not read again and again";
    EXPECT_EQ(link.handler.ends, 1);
    link.stream->write("answer");
    link.stream->close();
    EXPECT_TRUE(pump_to_end(loop, link));
    EXPECT_EQ(link.peer.got, "answer");
    EXPECT_TRUE(link.peer.end);
    EXPECT_TRUE(run_to_close(loop, link));
  }
}

TEST_P(StreamEnd, HalfCloseByUsLeavesReadingOpen) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->write("question");
  link.stream->shutdown();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer.got, "question");
  EXPECT_EQ(link.handler.closes, 0);
  link.peer.write("answer");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "answer"; }));
  link.peer.fd.reset();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_FALSE(link.handler.error) << "both sides are over";
}

// Both sides have half-closed, so the Stream is over, no matter what on_end() does.
TEST_P(StreamEnd, BothSidesHalfClosedItEndsEvenIfOnEndThrows) {
  for (const bool extras : {false, true}) {
    for (const bool before : {false, true}) {
      Loop loop(options());
      Link link(loop);
      if (extras) link.stream->count_bytes();
      link.handler.when_end = [](Stream& stream) {
        stream.shutdown();
        throw Raised();
      };
      link.start();
      if (before) link.stream->shutdown();
      ::shutdown(link.peer.fd.get(), SHUT_WR);
      EXPECT_THROW(static_cast<void>(run_to_close(loop, link)), Raised);
      EXPECT_TRUE(run_to_close(loop, link));
      EXPECT_FALSE(link.handler.error);
      EXPECT_EQ(link.handler.closes, 1);
    }
  }
}

// The peer has half-closed, and so do we while bytes are queued.
TEST_P(StreamEnd, BothSidesHalfClosedTheQueueIsStillWritten) {
  Loop loop(options());
  Link link(loop);
  const std::string text = pattern(1000000);
  link.handler.when_end = [&](Stream& stream) {
    stream.write(text);
    stream.shutdown();
  };
  link.start();
  ::shutdown(link.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_TRUE(link.peer.end);
  EXPECT_EQ(link.peer.got, text);
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_FALSE(link.handler.error);
}

TEST_P(StreamEnd, ShutdownWaitsForTheQueue) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const std::string text = pattern(3000000);
  link.stream->write(text);
  link.stream->shutdown();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer.got.size(), text.size());
  EXPECT_EQ(link.handler.closes, 0);
}

// ---- Destruction ----

TEST_P(StreamEnd, ADestroyedStreamCallsNothing) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.peer.write("x");
  link.stream.reset();
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(link.handler.got, "");
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(StreamEnd, DestroyedAfterCloseOrFailCallsNothing) {
  for (const bool failed : {false, true}) {
    Loop loop(options());
    Link link(loop);
    link.start();
    failed ? link.stream->fail(Errc::timed_out) : link.stream->close();
    link.stream.reset();
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(link.handler.closes, 0);
  }
}

TEST_P(StreamEnd, MayBeDestroyedInEachCallback) {
  for (const Moment moment : kMoments) {
    SCOPED_TRACE(static_cast<int>(moment));
    Loop loop(options());
    StreamOptions settings;
    settings.high_water = 1000;
    settings.low_water = 100;
    Link link(loop, settings);
    int destroyed = 0;
    link.handler.when(moment, [&](Stream& stream) {
      if (moment < Moment::shutdown) stream.write("never sent or sent, but not touched");
      ++destroyed;
      link.stream.reset();
    });
    link.start();
    if (moment == Moment::data) link.peer.write("x");
    if (moment == Moment::end) ::shutdown(link.peer.fd.get(), SHUT_WR);
    provoke(link.stream.get(), moment);
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), destroyed > 0; }));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(destroyed, 1);
    EXPECT_EQ(link.handler.closes, moment == Moment::close ? 1 : 0);
  }
}

TEST_P(StreamEnd, ACallbackMayDestroyAnotherStreamOfTheSameBatch) {
  Loop loop(options());
  std::vector<std::unique_ptr<Link>> links;
  int called = 0;
  for (int i = 0; i < 5; ++i) links.push_back(std::make_unique<Link>(loop));
  for (auto& link : links) {
    link->handler.when_data = [&, self = link.get()](Stream& stream, std::string_view) {
      ++called;
      stream.write("mine");
      for (auto& other : links) {
        if (other.get() != self) other->stream.reset();
      }
    };
    link->start();
    link->peer.write("x");
  }
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.run_once(milliseconds(5)));
  EXPECT_EQ(called, 1);
}

TEST_P(StreamEnd, TheLoopMayGoFirst) {
  auto loop = std::make_unique<Loop>(options());
  Link link(*loop);
  link.start();
  loop.reset();
  link.stream.reset();
}

TEST_P(StreamEnd, RequestShutdownClosesByDefaultAndAsksTheHandler) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.handler.when_shutdown = [](Stream& stream) { stream.write("finishing"); };
  link.stream->request_shutdown();
  EXPECT_FALSE(link.stream->closing());
  link.handler.when_shutdown.reset();
  link.stream->request_shutdown();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.shutdowns, 2);
  EXPECT_FALSE(link.handler.error);
  link.peer.read();
  EXPECT_EQ(link.peer.got, "finishing");
}

// Callbacks never nest. The loop calls those of the inner stream later, and the output of the outer
// stream stays in one piece.
TEST_P(StreamEnd, StartedInAnotherCallbackItMayDestroyItselfInOnOpen) {
  Loop loop(options());
  Link outer(loop);
  Link inner(loop);
  bool nested = false;
  inner.handler.when_open = [&](Stream& stream) {
    nested = outer.handler.got.empty();
    stream.write("greeting");
    inner.stream.reset();
  };
  outer.handler.when_data = [&](Stream& stream, std::string_view bytes) {
    stream.write("first ");
    inner.start(true);
    EXPECT_EQ(inner.handler.opens, 0);
    outer.handler.got += bytes;
    stream.write("second");
  };
  outer.start();
  outer.peer.write("go");
  EXPECT_TRUE(pump(loop, [&] { return outer.peer.read(), outer.peer.got.size() >= 12; }));
  EXPECT_TRUE(pump(loop, [&] { return inner.peer.read(), inner.peer.over(); }));
  EXPECT_EQ(inner.handler.opens, 1);
  EXPECT_FALSE(nested);
  EXPECT_EQ(outer.peer.got, "first second");
  EXPECT_EQ(inner.handler.closes, 0) << "it was destroyed";
}

// ---- A callback that goes on after its Stream was destroyed ----

TEST_P(StreamEnd, WhatADestroyedStreamCollectedIsSentByNobody) {
  for (const bool raises : {false, true}) {
    SCOPED_TRACE(raises);
    Loop loop(options());
    Link first(loop), second(loop);
    second.handler.when_open = [](Stream& stream) { stream.write("greeting"); };
    first.handler.when_data = [&](Stream& stream, std::string_view) {
      stream.write("secret");
      first.stream.reset();
      second.start();
      if (raises) throw Raised{};
    };
    first.start();
    first.peer.write("go");
    const auto turn = [&] { return second.peer.read(), second.peer.got.size() >= 8; };
    if (raises) {
      EXPECT_THROW(static_cast<void>(pump(loop, turn)), Raised);
    }
    EXPECT_TRUE(pump(loop, turn));
    EXPECT_EQ(second.peer.got, "greeting");
  }
}

TEST_P(StreamEnd, WhatIsWrittenBehindADestroyedStreamIsWhole) {
  Loop loop(options());
  Link first(loop), second(loop);
  second.start();
  first.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.write("secret");
    first.stream.reset();
    const std::span<std::byte> room = second.stream->write_room(4);
    std::ranges::fill(room.first(4), std::byte{'x'});
    second.stream->wrote(4);
  };
  first.start();
  first.peer.write("go");
  EXPECT_TRUE(pump(loop, [&] { return second.peer.read(), second.peer.got.size() >= 4; }));
  EXPECT_EQ(second.peer.got, "xxxx");
}

// If callbacks nested, the new Stream would overwrite the bytes that this callback was given.
TEST_P(StreamEnd, CallbacksDoNotNestInThatOfADestroyedStream) {
  Loop loop(options());
  Link first(loop), second(loop);
  second.peer.write("other");
  std::string got;
  first.handler.when_data = [&](Stream&, std::string_view bytes) {
    first.stream.reset();
    second.start(true);
    EXPECT_EQ(second.handler.opens, 0);
    got = bytes;
  };
  first.start();
  first.peer.write("bytes");
  EXPECT_TRUE(pump(loop, [&] { return second.handler.got == "other"; }));
  EXPECT_EQ(got, "bytes");
}

// The same holds if a Stream is destroyed in on_close(). After that callback, starting a Stream
// calls its handler at once again.
TEST_P(StreamEnd, DestroyedInOnCloseItLetsOthersStartLater) {
  Loop loop(options());
  Link first(loop), second(loop), third(loop);
  first.handler.when_close = [&](Stream&) {
    first.stream.reset();
    second.start();
    EXPECT_EQ(second.handler.opens, 0);
  };
  first.start();
  first.stream->close();
  EXPECT_TRUE(pump(loop, [&] { return second.handler.opens == 1; }));
  third.start();
  EXPECT_EQ(third.handler.opens, 1);
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamEnd, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
