// SPDX-License-Identifier: MIT
// These tests cover the limits of a Stream: timeouts for reading, for writing and for all of it,
// and bytes per second.
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/net/internal/rate_limit.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// A busy machine may be this late. If a limit were put off, the test would not end even after this
// time.
constexpr Duration kLate = kLimit / 2;

class StreamLimits : public LoopTest {
 protected:
  static void expect_between(TimePoint start, Duration least, Duration slack = kLate) {
    const Duration taken = monotonic_now() - start;
    EXPECT_GE(taken, least);
    EXPECT_LE(taken, least + slack);
  }
};

TEST_P(StreamLimits, ReadTimeOutIsNotPutOffByWriting) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const TimePoint start = monotonic_now();
  link.stream->set_read_timeout(milliseconds(30));
  while (link.handler.closes == 0 && monotonic_now() - start < kLimit) {
    link.stream->write("x");
    run_for(loop, milliseconds(4));
  }
  expect_between(start, milliseconds(30));
  EXPECT_EQ(link.handler.timeouts, 1);
  EXPECT_EQ(link.handler.error, Errc::timed_out);
}

// The first limit of all makes the Extras, amid a read.
TEST_P(StreamLimits, ReadTimeOutThatReadBufferSetsBeginsWithThatRead) {
  struct Late final : StreamHandler {
    std::span<std::byte> read_buffer(Stream& stream) override {
      if (!std::exchange(set, true)) stream.set_read_timeout(milliseconds(40));
      return room;
    }
    void on_data(Stream&, std::span<std::byte>) override {}
    void on_timeout(Stream&) override { timed_out = true; }
    std::array<std::byte, 16> room;
    bool set = false, timed_out = false;
  };
  Loop loop(options());
  Late late;
  const StreamOptions options;
  FdPair pair = make_tcp_pair();
  Stream stream(loop, Socket(std::move(pair.near)), late, options);
  stream.start();
  write_text(pair.far.get(), "x");
  EXPECT_TRUE(run_bounded(loop, [&] { return late.set; }));
  bool later = false;
  Timer timer = loop.timer([&] { later = true; });
  timer.start(milliseconds(60));  // so it comes after the timeout, however busy the machine is
  EXPECT_TRUE(run_bounded(loop, [&] { return late.timed_out || later; }));
  EXPECT_TRUE(late.timed_out);
}

TEST_P(StreamLimits, AStartInsideACallbackIsNotLostToALimit) {
  Loop loop(options());
  StreamOptions idle;
  idle.idle_timeout = std::chrono::minutes(1);
  Link first(loop);
  Link second(loop, idle);
  first.handler.when_data = [&](Stream&, std::string_view) {
    second.start();
    second.stream->write("hello");
    second.stream->set_total_deadline(loop.now() + milliseconds(20));
  };
  first.start();
  first.peer.write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return second.handler.closes > 0; }));
  EXPECT_EQ(second.handler.opens, 1);
}

TEST_P(StreamLimits, ADeadlineBeforeAllTimePassesAtOnce) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_timeout = [](Stream&) {};
  link.start();
  link.stream->set_deadline(TimePoint::min());
  link.stream->count_bytes();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.timeouts > 0; }));
}

TEST_P(StreamLimits, EachReadStartsItAnewAndSoDoesItsCall) {
  constexpr Duration kTimeout = milliseconds(40);
  Loop loop(options());
  Link link(loop);
  TimePoint last = monotonic_now();  // the latest restart of the timeout, or a moment before it
  link.handler.when_timeout = [&](Stream&) {
    EXPECT_GE(monotonic_now() - last, kTimeout);
    last += kTimeout;
  };
  link.start();
  link.stream->set_read_timeout(kTimeout);
  for (int i = 0; i < 8; ++i) {
    last = monotonic_now();
    link.peer.write("x");
    run_for(loop, kTimeout / 5);
  }
  const int before = link.handler.timeouts;  // 0, unless the process was stopped for a while
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.timeouts == before + 2; }));
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(StreamLimits, ReadTimeOutDoesNotRunWhileReadingIsPausedOrOff) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_timeout = [](Stream&) {};
  link.start();
  link.stream->set_read_timeout(milliseconds(5));
  link.stream->pause_reading();
  run_for(loop, milliseconds(25));
  EXPECT_EQ(link.handler.timeouts, 0);
  const TimePoint start = monotonic_now();
  link.stream->resume_reading();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.timeouts > 0; }));
  EXPECT_GE(monotonic_now() - start, milliseconds(5));
  link.stream->set_read_timeout(Duration::zero());
  const int before = link.handler.timeouts;
  run_for(loop, milliseconds(15));
  EXPECT_EQ(link.handler.timeouts, before);
}

TEST_P(StreamLimits, WriteTimeOutInPlaceOfTheSharedOne) {
  Loop loop(options());
  StreamOptions settings;
  settings.write_timeout = milliseconds(1);
  Link link(loop, settings);
  link.start();
  link.stream->set_write_timeout(milliseconds(40));
  run_for(loop, milliseconds(50));
  EXPECT_EQ(link.handler.closes, 0) << "nothing is queued";
  const std::string bytes = pattern(8000000);
  const TimePoint start = monotonic_now();
  link.stream->write(bytes);
  ASSERT_GT(link.stream->queued(), 0U);
  EXPECT_TRUE(run_to_close(loop, link));
  expect_between(start, milliseconds(40));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
  EXPECT_EQ(link.handler.timeouts, 0);
}

TEST_P(StreamLimits, ProgressPutsTheWriteTimeOutOffAndDeadlinesDoNot) {
  Loop loop(options());
  Link link(loop, {}, &make_socket_pair);  // its progress needs no TCP window
  link.start();
  link.stream->set_write_timeout(milliseconds(120));
  link.stream->set_deadline(monotonic_now() + hours(1));  // replaces only the shared deadline
  link.stream->write(pattern(8000000));
  std::size_t got = 0, queued = link.stream->queued();
  const TimePoint start = monotonic_now();
  TimePoint last = start;
  while (monotonic_now() - start < milliseconds(250) && link.handler.closes == 0) {
    got += read_text(link.peer.fd.get(), 300000).size();
    const TimePoint before = monotonic_now();
    run_for(loop, milliseconds(8));
    if (link.handler.closes > 0) break;  // the process was stopped, or the check below fails
    if (std::exchange(queued, link.stream->queued()) != queued) last = before;
  }
  EXPECT_LT(got, 8000000U) << "or else nothing is left to wait for";
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_GE(monotonic_now() - last, milliseconds(120));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
}

TEST_P(StreamLimits, ATotalDeadlineEndsItWhateverMoves) {
  Loop loop(options());
  Link link(loop);
  const TimePoint start = monotonic_now();
  link.stream->set_total_deadline(start + milliseconds(40));
  link.start();
  link.stream->set_idle_timeout(hours(1));
  while (link.handler.closes == 0 && monotonic_now() - start < kLimit) {
    link.peer.write("x");
    run_for(loop, milliseconds(5));
  }
  expect_between(start, milliseconds(40));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
  EXPECT_EQ(link.handler.timeouts, 0) << "nobody is asked";
  EXPECT_GT(link.handler.got.size(), 0U);
}

TEST_P(StreamLimits, ADeadlineMayBeAnyPointInTime) {
  Loop loop(options());
  for (const TimePoint past : {TimePoint::min(), TimePoint{}, monotonic_now()}) {
    Link total(loop), single(loop);
    total.start();
    single.start();
    total.stream->set_total_deadline(past);
    single.stream->set_deadline(past);
    EXPECT_EQ(single.stream->time_left(), Duration::zero());
    EXPECT_TRUE(run_to_close(loop, total));
    EXPECT_TRUE(run_to_close(loop, single));
    EXPECT_EQ(total.handler.error, Errc::timed_out);
    EXPECT_EQ(single.handler.timeouts, 1);
  }
  Link never(loop);
  never.start();
  never.stream->set_total_deadline(TimePoint::max());
  never.stream->set_deadline(TimePoint::max());
  never.stream->set_read_timeout(kForever);
  never.stream->set_write_timeout(kForever);
  EXPECT_TRUE(loop.poll() && loop.poll());
  EXPECT_EQ(never.handler.closes, 0);
}

TEST_P(StreamLimits, ATotalDeadlineCanBeMovedAndTakenBack) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->set_total_deadline(monotonic_now() + milliseconds(5));
  link.stream->set_total_deadline(TimePoint::max());
  run_for(loop, milliseconds(20));
  EXPECT_EQ(link.handler.closes, 0);
  const TimePoint start = monotonic_now();
  link.stream->set_total_deadline(start + hours(1));
  link.stream->set_total_deadline(start + milliseconds(10));
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_GE(monotonic_now() - start, milliseconds(10));
}

TEST_P(StreamLimits, AStreamMayGoWithItsLimits) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_timeout = [&](Stream& stream) {
    stream.set_total_deadline(monotonic_now() + milliseconds(20));
    link.stream.reset();
  };
  link.start();
  link.stream->set_read_timeout(milliseconds(2));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.stream == nullptr; }));
  run_for(loop, milliseconds(30));
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(StreamLimits, OutliveAnException) {
  Loop loop(options());
  Link link(loop);
  link.handler.when_timeout = [&](Stream& stream) {
    if (link.handler.timeouts == 2) stream.set_total_deadline(monotonic_now() + milliseconds(40));
    throw 3;
  };
  link.start();
  link.stream->set_read_timeout(milliseconds(5));
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
  link.stream->set_read_timeout(Duration::zero());
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
}

TEST_P(StreamLimits, AClosedOneHasNoLimits) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->set_read_timeout(milliseconds(3));
  link.stream->set_total_deadline(monotonic_now() + milliseconds(10));
  link.stream->close();
  EXPECT_TRUE(run_to_close(loop, link));
  run_for(loop, milliseconds(20));
  EXPECT_EQ(link.handler.closes, 1);
  EXPECT_FALSE(link.handler.error);
  EXPECT_EQ(link.handler.timeouts, 0);
}

// ---- Bytes per second ----

TEST_P(StreamLimits, ReadsNoFasterThanItsRate) {
  Loop loop(options());
  Link link(loop);
  link.stream->set_read_rate(1000000);
  link.start();
  const std::string text = pattern(400000);
  const TimePoint start = monotonic_now();
  const Ticks ticks(loop);
  std::size_t sent = 0;
  int turns = 0;
  while (link.handler.got.size() < text.size() && monotonic_now() - start < kLimit) {
    sent += link.peer.write(std::string_view(text).substr(sent));
    EXPECT_TRUE(loop.run_once(milliseconds(5)));
    ++turns;
  }
  EXPECT_GE(monotonic_now() - start, milliseconds(345)) << "400, less a rest";
  EXPECT_LE(ticks.count, 80) << "twice as many";
  EXPECT_EQ(link.handler.got, text);
  EXPECT_LT(turns, 400) << "a timer each 10 ms";
}

TEST_P(StreamLimits, WritesNoFasterThanItsRate) {
  Loop loop(options());
  StreamOptions settings;
  settings.low_water = settings.high_water = 1 << 20;
  Link link(loop, settings);
  link.stream->set_write_rate(1000000);
  link.start();
  const std::string text = pattern(400000);
  const TimePoint start = monotonic_now();
  Ticks ticks(loop);
  link.stream->write(text);
  EXPECT_GT(link.stream->queued(), 300000U);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() == text.size(); }));
  EXPECT_GE(monotonic_now() - start, milliseconds(345)) << "400, less a rest";
  EXPECT_LE(ticks.count, 80) << "twice as many";
  EXPECT_EQ(link.peer.got, text);
  ticks.count = 0;
  link.stream->set_write_rate(0);
  link.stream->write(text);
  EXPECT_TRUE(
      pump(loop, [&] { return link.peer.read(), link.peer.got.size() == 2 * text.size(); }));
  EXPECT_LT(ticks.count, 30) << "no limit any more";
}

TEST_P(StreamLimits, ASlowRateIsNoTimeOut) {
  Loop loop(options());
  StreamOptions settings;
  settings.write_timeout = milliseconds(100);
  Link link(loop, settings);
  link.stream->set_write_rate(100);
  link.stream->set_read_rate(100);
  link.stream->set_write_timeout(milliseconds(5));
  link.stream->set_read_timeout(hours(1));
  link.start();
  link.stream->write("1234567");
  link.peer.write("1234567");
  EXPECT_TRUE(pump(loop, [&] {
    link.peer.read();
    return link.peer.got.size() == 7 && link.handler.got.size() == 7;
  }));
  EXPECT_EQ(link.handler.closes, 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamLimits, every_backend(), BackendName());

// A user that takes its whole allowance as soon as it gets one reaches the rate, within 2% or one
// byte.
TEST(RateLimit, GivesWhatItSays) {
  for (const std::uint64_t rate : {1ULL, 7ULL, 100ULL, 12345ULL, 1000000ULL, 40000000000ULL}) {
    RateLimit limit;
    TimePoint now{hours(5)};
    const TimePoint start = now;
    const double whole = std::max(2.0, 10.0 / static_cast<double>(rate));
    limit.set(rate, now);
    double moved = 0;
    while (std::chrono::duration<double>(now - start).count() < whole) {
      const std::size_t allowance = limit.allowance(now);
      if (allowance == 0) {
        ASSERT_GT(limit.ready_at(), now);
        now = limit.ready_at();
        ASSERT_GT(limit.allowance(now), 0U) << "ready_at() is late enough";
        continue;
      }
      limit.took(allowance, now);
      moved += static_cast<double>(allowance);
    }
    const double right = whole * static_cast<double>(rate);
    EXPECT_NEAR(moved, right, std::max(right * 0.02, 1.0)) << rate;
  }
}

TEST(RateLimit, ARestIsNotMadeUpFor) {
  RateLimit limit;
  TimePoint now{hours(5)};
  EXPECT_EQ(limit.allowance(now), SIZE_MAX) << "none is set";
  limit.set(1000, now);
  EXPECT_EQ(limit.allowance(now), 10U) << "the first bytes need not wait";
  EXPECT_EQ(limit.allowance(now + hours(1)), 50U);
  limit.set(0, now);
  EXPECT_EQ(limit.allowance(now), SIZE_MAX);
}

TEST(RateLimit, SetAgainAndAgainItIsTheSame) {
  RateLimit limit;
  const TimePoint now{hours(5)};
  limit.set(1000, now);
  limit.took(limit.allowance(now), now);
  for (const std::uint64_t rate : {1000ULL, 5000ULL, 100ULL}) {
    limit.set(rate, now);
    EXPECT_EQ(limit.allowance(now), 0U);
    EXPECT_EQ(limit.allowance(now + milliseconds(20)), rate / 50);
  }
}

}  // namespace
}  // namespace reactor
