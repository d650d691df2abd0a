// SPDX-License-Identifier: MIT
// Tests Stream::call_soon() and StreamHandler::on_call().
#include <chrono>

#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class StreamCall : public LoopTest {
 protected:
  // Runs `test` with a plain Stream and with one that has Extras. Both have started.
  template <class Test>
  void with_both(Test&& test) {
    for (const bool extras : {false, true}) {
      SCOPED_TRACE(extras ? "with extras" : "plain");
      Loop loop(options());
      StreamOptions settings;
      settings.idle_timeout = milliseconds(20);
      Link link(loop, settings);
      if (extras) link.stream->count_bytes();
      link.start();
      loop.poll().value();
      test(loop, link);
    }
  }
};

TEST_P(StreamCall, ComesOnceAndNotInsideTheRequest) {
  with_both([](Loop& loop, Link& link) {
    link.handler.when_timeout = [](Stream&) {};
    link.stream->call_soon();
    link.stream->call_soon();
    EXPECT_EQ(link.handler.calls, 0);
    loop.poll().value();
    loop.poll().value();
    EXPECT_EQ(link.handler.calls, 1);
  });
}

TEST_P(StreamCall, ARequestInsideACallbackComesAfterIt) {
  with_both([](Loop& loop, Link& link) {
    bool inside = false, nested = false;
    link.handler.when_data = [&](Stream& stream, std::string_view) {
      inside = true;
      stream.call_soon();
      inside = false;
    };
    link.handler.when_call = [&](Stream& stream) {
      nested = nested || inside;
      if (link.handler.calls == 1) stream.call_soon();
    };
    link.peer.write("x");
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.calls == 2; }));
    EXPECT_FALSE(nested);
  });
}

TEST_P(StreamCall, TheIdleTimeoutGoesOnAfterwards) {
  with_both([](Loop& loop, Link& link) {
    link.handler.when_timeout = [](Stream&) {};
    const TimePoint start = monotonic_now();
    link.stream->set_deadline(start + hours(1));
    link.stream->call_soon();
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.timeouts > 0; }));
    EXPECT_EQ(link.handler.calls, 1);
    EXPECT_GE(monotonic_now() - start, milliseconds(20));
  });
}

TEST_P(StreamCall, ADeadlineOrAnIdleTimeoutCancelsIt) {
  with_both([](Loop& loop, Link& link) {
    link.stream->call_soon();
    link.stream->set_deadline(loop.now() + hours(1));
    loop.poll().value();
    link.stream->call_soon();
    link.stream->set_idle_timeout(hours(1));
    loop.poll().value();
    EXPECT_EQ(link.handler.calls, 0);
    EXPECT_GT(link.stream->time_left(), milliseconds(1));
  });
}

TEST_P(StreamCall, ItsWriteTimeoutIsNotLost) {
  with_both([](Loop& loop, Link& link) {
    link.options.write_timeout = milliseconds(10);
    link.handler.when_call = [](Stream& stream) { stream.write(pattern(5000000)); };
    link.stream->call_soon();
    EXPECT_TRUE(run_to_close(loop, link));
    EXPECT_EQ(link.handler.calls, 1);
    EXPECT_EQ(link.handler.error, Errc::timed_out);
  });
}

TEST_P(StreamCall, NeverComesBeforeTheStartOrAfterTheEnd) {
  Loop loop(options());
  Link early(loop);
  early.stream->call_soon();
  loop.poll().value();
  EXPECT_EQ(early.handler.calls, 0);
  with_both([](Loop& later, Link& link) {
    link.stream->call_soon();
    link.stream->close();
    link.stream->call_soon();
    EXPECT_TRUE(run_to_close(later, link));
    EXPECT_EQ(link.handler.calls, 0);
  });
}

TEST_P(StreamCall, WaitsForTheRestOfTheOutputAtAClose) {
  with_both([](Loop& loop, Link& link) {
    link.stream->write(pattern(5000000));
    link.stream->call_soon();
    link.stream->close();
    EXPECT_TRUE(pump(loop, [&] {
      link.peer.read();
      return link.handler.closes > 0;
    }));
    EXPECT_EQ(link.handler.calls, 0);
    EXPECT_FALSE(link.handler.error) << link.handler.error.message();
    EXPECT_EQ(link.peer.got, pattern(5000000));
  });
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamCall, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
