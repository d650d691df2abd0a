// SPDX-License-Identifier: MIT
// These tests cover timeouts of a Stream, and the lingering close.
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class StreamTime : public LoopTest {};
class StreamLinger : public LoopTest {};

// Calls `act` every 10 ms for at least 100 ms, or until the Stream closes. Returns the time of the
// last call. If the machine stalls, the Stream may time out meanwhile, but never less than 60 ms
// after the last call.
template <class Act>
TimePoint keep_busy(Loop& loop, const Link& link, Act act) {
  TimePoint last{};
  for (int i = 0; i < 10 && link.handler.closes == 0; ++i) {
    last = monotonic_now();
    act();
    run_for(loop, milliseconds(10));
  }
  return last;
}

TEST_P(StreamTime, AnIdleStreamTimesOut) {
  Loop loop(options());
  StreamOptions settings;
  settings.idle_timeout = milliseconds(20);
  Link link(loop, settings);
  const TimePoint start = monotonic_now();
  link.start();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_GE(monotonic_now() - start, milliseconds(20));
  EXPECT_EQ(link.handler.timeouts, 1);
  EXPECT_EQ(link.handler.error, Errc::timed_out);
}

TEST_P(StreamTime, TheShortestIdleTimeoutIsOne) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->set_idle_timeout(Duration(1));
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.timeouts, 1);
  Link none(loop);
  none.start();
  for (const Duration never : {Duration::zero(), Duration::min(), kForever}) {
    none.stream->set_idle_timeout(never);
    run_for(loop, milliseconds(2));
    EXPECT_EQ(none.handler.timeouts, 0);
  }
}

TEST_P(StreamTime, AnExceptionOutOfOnTimeoutLeavesTheTimeoutOn) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_timeout = [](Stream&) { throw 1; };
  link.start();
  link.stream->set_idle_timeout(milliseconds(1));
  for (int calls = 1; calls <= 2; ++calls) {
    EXPECT_THROW((void)run_bounded(loop, [&] { return link.handler.timeouts > calls; }), int);
    EXPECT_EQ(link.handler.timeouts, calls);
  }
}

TEST_P(StreamTime, TrafficPutsTheIdleTimeOutOff) {
  Loop loop(options());
  StreamOptions settings;
  settings.idle_timeout = milliseconds(60);
  Link link(loop, settings);
  link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  link.start();
  const TimePoint last = keep_busy(loop, link, [&] { link.peer.write("x"); });
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_GE(monotonic_now() - last, milliseconds(60));
}

TEST_P(StreamTime, WritingFromOutsidePutsItOffToo) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->set_idle_timeout(milliseconds(60));
  const TimePoint last = keep_busy(loop, link, [&] { link.stream->write("x"); });
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_GE(monotonic_now() - last, milliseconds(60));
}

TEST_P(StreamTime, TheHandlerMayDecideToGoOn) {
  Loop loop(options());
  Link link(loop);
  int left = 3;
  link.handler.when_timeout = [&](Stream& stream) {
    if (--left == 0) stream.close();
  };
  link.start();
  link.stream->set_idle_timeout(milliseconds(2));
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.timeouts, 3);
  EXPECT_FALSE(link.handler.error);
}

TEST_P(StreamTime, ZeroSwitchesItOff) {
  Loop loop(options());
  StreamOptions settings;
  settings.idle_timeout = milliseconds(5);
  Link link(loop, settings);
  link.start();
  link.stream->set_idle_timeout(Duration::zero());
  run_for(loop, milliseconds(30));
  EXPECT_EQ(link.handler.timeouts, 0);
  link.stream->set_idle_timeout(kForever);
  run_for(loop, milliseconds(10));
  EXPECT_EQ(link.handler.timeouts, 0);
  link.stream->set_idle_timeout(milliseconds(1));
  EXPECT_TRUE(run_to_close(loop, link));
}

TEST_P(StreamTime, ADeadlineIsNotPutOffByTraffic) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const TimePoint deadline = monotonic_now() + milliseconds(40);
  link.stream->set_deadline(deadline);
  while (link.handler.closes == 0) {
    link.peer.write("x");
    run_for(loop, milliseconds(5));
    ASSERT_LT(monotonic_now(), deadline + std::chrono::seconds(10));
  }
  EXPECT_GE(monotonic_now(), deadline);
  EXPECT_EQ(link.handler.timeouts, 1);
  EXPECT_GT(link.handler.got.size(), 0U);
}

TEST_P(StreamTime, AnIdleTimeOutReplacesADeadline) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->set_deadline(monotonic_now() + milliseconds(5));
  link.stream->set_idle_timeout(hours(1));
  run_for(loop, milliseconds(20));
  EXPECT_EQ(link.handler.timeouts, 0);
}

TEST_P(StreamTime, APeerThatDoesNotReadTimesTheWriteOut) {
  Loop loop(options());
  StreamOptions settings;
  settings.write_timeout = milliseconds(40);
  settings.idle_timeout = hours(1);
  Link link(loop, settings);
  link.start();
  link.stream->write(pattern(8000000));
  ASSERT_GT(link.stream->queued(), 0U);
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
  EXPECT_EQ(link.handler.timeouts, 0) << "not the idle one";
}

TEST_P(StreamTime, ASlowReaderIsNotTimedOutWhileThereIsProgress) {
  Loop loop(options());
  StreamOptions settings;
  settings.write_timeout = milliseconds(150);
  Link link(loop, settings);
  link.start();
  const std::string text = pattern(8000000);
  link.stream->write(text);
  std::size_t got = 0, queued = link.stream->queued();
  const TimePoint start = monotonic_now();
  TimePoint last = start;
  while (got < text.size()) {
    const TimePoint before = monotonic_now();
    std::string chunk = read_text(link.peer.fd.get(), 300000);
    EXPECT_EQ(chunk, text.substr(got, chunk.size()));
    got += chunk.size();
    run_for(loop, milliseconds(8));
    if (link.handler.closes > 0) break;
    if (std::exchange(queued, link.stream->queued()) != queued) last = before;
    ASSERT_LT(monotonic_now() - start, std::chrono::seconds(20));
  }
  if (link.handler.closes > 0) {
    EXPECT_GE(monotonic_now() - last, milliseconds(150)) << "a process that was stopped";
  } else {
    EXPECT_GT(monotonic_now() - start, milliseconds(150)) << "longer than the timeout in all";
  }
}

// ---- Lingering ----

// If the socket were closed with unread input, the kernel would send a reset, and the peer could
// lose the answer.
TEST_P(StreamLinger, UnreadInputDoesNotDestroyTheAnswer) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_data = [](Stream& stream, std::string_view) {
    stream.write("400 and good bye");
    stream.close(true);
  };
  link.start();
  const std::string body(8'000'000, 'b');  // the client sends all of this before it reads
  std::size_t sent = link.peer.write(body);
  EXPECT_TRUE(pump(loop, [&] {
    if (sent < body.size()) sent += link.peer.write(std::string_view(body).substr(sent));
    return sent == body.size();
  }));
  run_for(loop, milliseconds(10));
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.peer.got, "400 and good bye");
  EXPECT_TRUE(link.peer.end);
  EXPECT_EQ(link.peer.error, 0);
  EXPECT_EQ(link.handler.closes, 1) << "the handler does not wait for the lingering";
}

// The peer reads nothing before it has sent everything. If the Stream did not read while its answer
// waits, both sides would wait for each other.
TEST_P(StreamLinger, APeerThatSendsAllBeforeItReadsGetsALongAnswerToo) {
  Loop loop(options());
  Link link(loop);
  const std::string answer = pattern(14'000'000);
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.write(answer);
    stream.close(true);
  };
  link.start();
  const std::string block(1'000'000, 'b');
  std::size_t sent = 0;
  EXPECT_TRUE(pump(loop, [&] {
    sent += link.peer.write(block);
    return sent >= 14'000'000 || link.peer.error != 0;
  }));
  EXPECT_EQ(link.handler.closes, 0) << "the kernel has no room for it";
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_TRUE(link.peer.got == answer) << link.peer.got.size();
}

// Input that the Stream has not read, and whose size it does not know, does not destroy the answer
// either.
TEST_P(StreamLinger, InputThatWasNotReadYetDoesNotDestroyTheAnswer) {
  Loop loop(options());
  BufferRecorder<4> handler;
  handler.when_data = [](Stream& stream, std::string_view) {
    stream.write("enough");
    stream.close();
  };
  FdPair pair = make_tcp_pair();
  Peer peer;
  peer.fd = std::move(pair.far);
  const StreamOptions settings;
  Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
  peer.write("12345678");
  stream.start();
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
  EXPECT_EQ(peer.got, "enough");
  EXPECT_EQ(peer.error, 0);
}

TEST_P(StreamLinger, InputOfAPausedStreamDoesNotDestroyTheAnswer) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->pause_reading();
  link.peer.write("unread");
  run_for(loop, milliseconds(2));
  link.stream->write("bye");
  link.stream->close();
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.peer.got, "bye");
  EXPECT_EQ(link.peer.error, 0);
}

TEST_P(StreamLinger, ItOutlivesTheStream) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_close = [&](Stream&) { link.stream.reset(); };
  link.start();
  link.stream->write("last");
  link.stream->close(true);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.stream == nullptr; }));
  for (int i = 0; i < 20; ++i) {
    EXPECT_GT(link.peer.write("more"), 0U);
    run_for(loop, milliseconds(1));
  }
  link.peer.read();
  EXPECT_EQ(link.peer.got, "last");
  EXPECT_TRUE(link.peer.end);
  link.peer.fd.reset();
  EXPECT_TRUE(run_to_end(loop)) << "over when the peer is";
}

TEST_P(StreamLinger, APeerThatSendsNoMoreEndsIt) {
  Loop loop(options());
  StreamOptions settings;
  settings.linger_idle = milliseconds(30);
  settings.linger_time = hours(1);
  Link link(loop, settings);
  link.start();
  const TimePoint start = monotonic_now();
  link.stream->close(true);
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_GE(monotonic_now() - start, milliseconds(29));
  EXPECT_LT(monotonic_now() - start, std::chrono::seconds(5));
}

TEST_P(StreamLinger, APeerThatSendsIsWaitedForLongerThanTheIdleTime) {
  Loop loop(options());
  StreamOptions settings;
  settings.linger_idle = milliseconds(200);
  settings.linger_time = hours(1);
  Link link(loop, settings);
  link.start();
  link.stream->close(true);
  EXPECT_TRUE(run_to_close(loop, link));
  const TimePoint end = monotonic_now() + milliseconds(500);
  TimePoint last = monotonic_now();
  while (last < end && loop.counts().transports == 1) {
    last = monotonic_now();
    link.peer.write(std::string(4096, 'x'));
    run_for(loop, milliseconds(10));
  }
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_GE(monotonic_now() - last, milliseconds(199)) << "closed though the peer was sending";
}

TEST_P(StreamLinger, APeerThatDawdlesIsNotWaitedFor) {
  Loop loop(options());
  StreamOptions settings;
  settings.linger_idle = milliseconds(50);
  settings.linger_time = hours(1);
  Link link(loop, settings);
  link.start();
  link.stream->close(true);
  EXPECT_TRUE(run_to_close(loop, link));
  // A byte in each turn would be too fast: a turn may take less than 10 us.
  const Timer drip = loop.every(milliseconds(1), [&] { link.peer.write("x"); });
  EXPECT_TRUE(pump(loop, [&] { return loop.counts().transports == 0; }));
}

TEST_P(StreamLinger, ItsTimeIsLimitedThoughThePeerSendsOn) {
  Loop loop(options());
  StreamOptions settings;
  settings.linger_idle = hours(1);
  settings.linger_time = milliseconds(30);
  Link link(loop, settings);
  link.start();
  const TimePoint start = monotonic_now();
  link.stream->close(true);
  EXPECT_TRUE(pump(loop, [&] {
    link.peer.write("x");
    return link.handler.closes > 0 && loop.counts().transports == 0;
  }));
  EXPECT_GE(monotonic_now() - start, milliseconds(29));
}

// After linger_bytes the Stream stops reading. The kernel then holds the peer back, and the peer
// may still read the answer.
TEST_P(StreamLinger, ItsBytesAreLimitedAndTheAnswerStays) {
  Loop loop(options());
  StreamOptions settings;
  settings.linger_idle = hours(1);
  settings.linger_time = hours(1);
  settings.linger_bytes = 100'000;
  Link link(loop, settings);
  link.start();
  link.stream->write("413");
  link.stream->close(true);
  EXPECT_TRUE(run_to_close(loop, link));
  const std::string block(1'000'000, 'x');
  std::size_t sent = 0;
  int refused = 0;
  while (refused < 20 && sent < 1'000'000'000) {
    const std::size_t more = link.peer.write(block);
    sent += more;
    refused = more == 0 ? refused + 1 : 0;
    run_for(loop, milliseconds(1));
  }
  EXPECT_EQ(refused, 20) << "all is read";
  EXPECT_EQ(link.peer.error, 0);
  link.peer.read();
  EXPECT_EQ(link.peer.got, "413");
  EXPECT_TRUE(link.peer.end);
  EXPECT_EQ(link.peer.error, 0);
  EXPECT_EQ(loop.counts().transports, 1U);
}

TEST_P(StreamLinger, APeerThatIsHeldBackIsClosedAfterTheIdleTime) {
  Loop loop(options());
  StreamOptions settings;
  settings.linger_idle = milliseconds(30);
  settings.linger_time = hours(1);
  settings.linger_bytes = 1;
  Link link(loop, settings);
  link.start();
  link.stream->close(true);
  EXPECT_TRUE(run_to_close(loop, link));
  const TimePoint start = monotonic_now();
  while (link.peer.write(std::string(50'000, 'x')) > 0) continue;
  EXPECT_TRUE(run_to_end(loop)) << "though there is input all the time";
  EXPECT_GE(monotonic_now() - start, milliseconds(29));
}

TEST_P(StreamLinger, APeerThatHasEndedNeedsNone) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_end = [](Stream& stream) { stream.close(true); };
  link.start();
  ::shutdown(link.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(loop.counts().transports, 0U);
}

TEST_P(StreamLinger, ALoopMayGoWhileStreamsLinger) {
  auto loop = std::make_unique<Loop>(options());
  Link link(*loop);
  link.start();
  link.stream->close(true);
  EXPECT_TRUE(run_to_close(*loop, link));
  EXPECT_EQ(loop->counts().transports, 1U);
  link.stream.reset();
  loop.reset();
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamTime, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, StreamLinger, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
