// SPDX-License-Identifier: MIT
// Everything that holds for a Stream also holds over TLS. The same tests run for each Carrier,
// including the plain socket.
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <tuple>
#include <vector>

#include "reactor/base/error.h"
#include "tests/tls/tls_kit.h"

namespace reactor::tls {
namespace {

using std::chrono::milliseconds;

class AnyStream : public ::testing::TestWithParam<std::tuple<Backend, Carrier>> {
 protected:
  [[nodiscard]] static LoopOptions options() {
    LoopOptions options;
    options.backend = std::get<Backend>(GetParam());
    return options;
  }
  [[nodiscard]] static Carrier carrier() { return std::get<Carrier>(GetParam()); }

 private:
  FdGuard descriptors_;
};

bool run_to_close(Loop& loop, TlsLink& link) {
  return pump(loop, [&] { return link.peer->read(), link.handler.closes > 0; });
}
bool pump_to_end(Loop& loop, TlsLink& link) {
  return pump(loop, [&] { return link.peer->read(), link.peer->over(); });
}

TEST_P(AnyStream, CarriesBytesBothWays) {
  for (FdPair (*make)() : {&make_tcp_pair, &make_socket_pair}) {
    Loop loop(options());
    TlsLink link(loop, carrier(), {}, make);
    link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
    link.start(loop);
    EXPECT_EQ(link.handler.opens, 1);
    link.peer->write("hello");
    EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got == "hello"; }));
    EXPECT_EQ(link.handler.got, "hello");
    link.stream->write(" from outside");
    EXPECT_TRUE(
        pump(loop, [&] { return link.peer->read(), link.peer->got == "hello from outside"; }));
    EXPECT_EQ(link.handler.closes, 0);
    EXPECT_LE(run_for(loop, milliseconds(10)), 4) << "nothing spins";
  }
}

TEST_P(AnyStream, AServerMaySpeakFirst) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.handler.when_open = [](Stream& stream) { stream.write("welcome"); };
  link.start(loop);
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got == "welcome"; }));
}

TEST_P(AnyStream, ASmallBufferGetsAllAndInOrder) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  BufferRecorder<37> handler;
  handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  link.stream->set_handler(handler);
  link.stream->start();
  const std::string text = pattern(60000);
  link.peer->write(text);
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got.size() == text.size(); }));
  EXPECT_EQ(handler.got, text);
  EXPECT_EQ(link.peer->got, text);
}

TEST_P(AnyStream, LargeTransfersBothWaysAtOnce) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  const std::string text = pattern(2000000);
  link.peer->write(text);
  for (std::size_t at = 0; at < text.size(); at += 100000) {
    link.stream->write(std::string_view(text).substr(at, 100000));
  }
  EXPECT_TRUE(pump(loop, [&] {
    link.peer->read();
    return link.peer->got.size() == text.size() && link.handler.got.size() == text.size();
  }));
  EXPECT_EQ(link.peer->got, text);
  EXPECT_EQ(link.handler.got, text);
}

TEST_P(AnyStream, SmallWritesOfACallbackKeepTheirOrderWithLargeOnes) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  const std::string large = pattern(200000);
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    stream.write("a");
    stream.write("b");
    stream.write(large);
    stream.write("c");
    stream.write_now(std::as_bytes(std::span("d", 1)));
    const auto room = stream.write_room(1);
    room[0] = std::byte{'e'};
    stream.wrote(1);
    stream.write("f");
  };
  link.start(loop);
  link.peer->write("go");
  const std::string expected = "ab" + large + "cdef";
  EXPECT_TRUE(
      pump(loop, [&] { return link.peer->read(), link.peer->got.size() >= expected.size(); }));
  EXPECT_EQ(link.peer->got, expected);
}

TEST_P(AnyStream, PausedReadingHoldsThePeerBackAndCostsNothing) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  link.stream->pause_reading();
  link.peer->write("waiting");
  EXPECT_LE(run_for(loop, milliseconds(10)), 4);
  EXPECT_EQ(link.handler.got, "");
  link.stream->resume_reading();
  EXPECT_TRUE(pump(loop, [&] { return link.handler.got == "waiting"; }));
}

// The transport has already read more bytes from the kernel. They are neither lost nor delivered
// during the pause.
TEST_P(AnyStream, PausingInACallbackIsObeyed) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  BufferRecorder<3> handler;
  handler.when_data = [](Stream& stream, std::string_view) { stream.pause_reading(); };
  link.stream->set_handler(handler);
  link.stream->start();
  link.peer->write("onetwo");
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), handler.got == "one"; }));
  EXPECT_LE(run_for(loop, milliseconds(10)), 4);
  EXPECT_EQ(handler.got, "one");
  link.stream->resume_reading();
  EXPECT_TRUE(pump(loop, [&] { return handler.got == "onetwo"; }));
}

TEST_P(AnyStream, TheQueueHoldsBackAtTheHighMarkAndDrainsAtTheLow) {
  Loop loop(options());
  StreamOptions settings;
  settings.high_water = 100000;
  settings.low_water = 1000;
  TlsLink link(loop, carrier(), settings);
  link.start(loop);
  const std::string block = pattern(50000);
  std::string sent;
  while (link.stream->writable() && sent.size() < 50000000) {
    link.stream->write(block);
    sent += block;
  }
  EXPECT_FALSE(link.stream->writable());
  EXPECT_EQ(link.handler.drains, 0);
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got.size() == sent.size(); }));
  EXPECT_EQ(link.peer->got, sent);
  EXPECT_EQ(link.handler.drains, 1);
  EXPECT_EQ(link.stream->queued(), 0U);
}

// The Stream offers the bytes that were not sent the first time again, in other pieces.
TEST_P(AnyStream, ALowerRateInTheMiddleOfARecordLosesNothing) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  const std::string text = pattern(300000);
  link.stream->set_write_rate(100'000'000);
  link.stream->write(text);
  run_for(loop, milliseconds(5));
  EXPECT_GT(link.stream->queued(), 0U) << "the peer has not read";
  link.stream->set_write_rate(300'000);  // less than a record at a time
  run_for(loop, milliseconds(5));
  std::size_t turns = 0;
  EXPECT_TRUE(pump(loop, [&] {
    link.peer->read();
    if (++turns == 50) link.stream->set_write_rate(0);
    return link.peer->got.size() == text.size();
  }));
  EXPECT_EQ(link.peer->got, text);
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(AnyStream, AFileBetweenTwoWrites) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  const std::string text = pattern(500000);
  UniqueFd file(::open(temporary_file(text).c_str(), O_RDONLY | O_CLOEXEC));
  link.stream->write("before");
  link.stream->send_file(std::move(file), 0, text.size());
  link.stream->write("after");
  link.stream->close();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer->got, "before" + text + "after");
  EXPECT_TRUE(link.peer->end);
  EXPECT_TRUE(run_to_close(loop, link));
}

TEST_P(AnyStream, AFullQueueEndsTheConnection) {
  Loop loop(options());
  StreamOptions settings;
  settings.queue_limit = 200000;
  TlsLink link(loop, carrier(), settings);
  link.start(loop);
  const std::string block = pattern(100000);
  for (int i = 0; i < 1000 && !link.stream->closing(); ++i) link.stream->write(block);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, reactor::Errc::queue_full);
}

TEST_P(AnyStream, ThePeersEndClosesByDefault) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  link.peer->end_writing();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.ends, 1);
  EXPECT_FALSE(link.handler.error) << link.handler.error.message();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_TRUE(link.peer->end);
  EXPECT_TRUE(loop.run()) << "nothing is left";
}

TEST_P(AnyStream, CloseSendsWhatIsQueuedAndThenTheEnd) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  const std::string text = pattern(3000000);
  link.stream->write(text);
  EXPECT_GT(link.stream->queued(), 0U);
  link.stream->close();
  EXPECT_EQ(link.handler.closes, 0) << "never from inside close()";
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_TRUE(link.peer->end);
  EXPECT_EQ(link.peer->got, text);
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_FALSE(link.handler.error);
}

TEST_P(AnyStream, CloseInEachCallback) {
  for (const Moment moment : {Moment::open, Moment::data, Moment::end}) {
    SCOPED_TRACE(static_cast<int>(moment));
    Loop loop(options());
    TlsLink link(loop, carrier());
    link.handler.when(moment, [&](Stream& stream) {
      stream.write("bye");
      stream.close();
      EXPECT_EQ(link.handler.closes, 0);
    });
    link.start(loop);
    if (moment == Moment::data) link.peer->write("x");
    if (moment == Moment::end) link.peer->end_writing();
    EXPECT_TRUE(pump_to_end(loop, link));
    EXPECT_TRUE(link.peer->end);
    EXPECT_EQ(link.peer->got, "bye");
    EXPECT_TRUE(run_to_close(loop, link));
  }
}

TEST_P(AnyStream, AResetIsReportedAsItsError) {
  if (on_libkqueue(std::get<Backend>(GetParam()))) GTEST_SKIP() << "libkqueue takes the error";
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  reset_on_close(link.peer->socket.fd.get());
  link.peer->socket.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::connection_reset);
  EXPECT_EQ(link.handler.ends, 0);
}

TEST_P(AnyStream, WritingToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  Loop loop(options());
  TlsLink link(loop, carrier(), {}, &make_socket_pair);
  link.handler.when_end = [](Stream&) {};
  link.start(loop);
  link.peer->socket.fd.reset();
  link.stream->write("anybody?");
  EXPECT_EQ(link.handler.closes, 0) << "never from inside write()";
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::broken_pipe);
}

TEST_P(AnyStream, FailEndsWithThatErrorAndDropsTheQueue) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  link.stream->write(pattern(5000000));
  link.stream->fail(std::make_error_code(std::errc::protocol_error));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::protocol_error);
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer->socket.error, ECONNRESET) << "so that a part is not taken for the whole";
  EXPECT_FALSE(link.peer->end);
}

TEST_P(AnyStream, HalfCloseByThePeerLeavesTheOtherWayOpen) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.handler.when_end = [](Stream&) {};
  link.start(loop);
  link.peer->write("question");
  link.peer->end_writing();
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.handler.ends > 0; }));
  EXPECT_EQ(link.handler.got, "question");
  EXPECT_TRUE(link.stream->ended());
  EXPECT_LE(run_for(loop, milliseconds(10)), 4) << "an end is not read again and again";
  link.stream->write("answer");
  link.stream->close();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer->got, "answer");
  EXPECT_TRUE(link.peer->end);
  EXPECT_TRUE(run_to_close(loop, link));
}

TEST_P(AnyStream, HalfCloseByUsLeavesReadingOpen) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  link.stream->write("question");
  link.stream->shutdown();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer->got, "question");
  EXPECT_EQ(link.handler.closes, 0);
  link.peer->write("answer");
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.handler.got == "answer"; }));
  link.peer->end_writing();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_FALSE(link.handler.error) << "both sides are over";
}

TEST_P(AnyStream, ShutdownWaitsForTheQueue) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.start(loop);
  const std::string text = pattern(3000000);
  link.stream->write(text);
  link.stream->shutdown();
  EXPECT_TRUE(pump_to_end(loop, link));
  EXPECT_EQ(link.peer->got.size(), text.size());
  EXPECT_TRUE(link.peer->end);
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(AnyStream, MayBeDestroyedInEachCallback) {
  for (const Moment moment : kMoments) {
    SCOPED_TRACE(static_cast<int>(moment));
    Loop loop(options());
    StreamOptions settings;
    settings.high_water = 1000;
    settings.low_water = 100;
    TlsLink link(loop, carrier(), settings);
    int destroyed = 0;
    link.handler.when(moment, [&](Stream& stream) {
      if (moment < Moment::shutdown) stream.write("never sent or sent, but not touched");
      ++destroyed;
      link.stream.reset();
    });
    link.start(loop);
    if (moment == Moment::data) link.peer->write("x");
    if (moment == Moment::end) link.peer->end_writing();
    provoke(link.stream.get(), moment);
    EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), destroyed > 0; }));
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(destroyed, 1);
    EXPECT_EQ(link.handler.closes, moment == Moment::close ? 1 : 0);
  }
}

TEST_P(AnyStream, AnIdleStreamTimesOut) {
  Loop loop(options());
  StreamOptions settings;
  settings.idle_timeout = milliseconds(20);
  TlsLink link(loop, carrier(), settings);
  link.start(loop);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.timeouts, 1);
  EXPECT_EQ(link.handler.error, reactor::Errc::timed_out);
}

TEST_P(AnyStream, APeerThatDoesNotReadTimesTheWriteOut) {
  Loop loop(options());
  StreamOptions settings;
  settings.write_timeout = milliseconds(20);
  TlsLink link(loop, carrier(), settings);
  link.start(loop);
  link.stream->write(pattern(5000000));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, reactor::Errc::timed_out);
}

TEST_P(AnyStream, AnExceptionFromOnDataLeavesRunAndTheStreamGoesOn) {
  Loop loop(options());
  TlsLink link(loop, carrier());
  link.handler.when_data = [](Stream& stream, std::string_view text) {
    stream.write(text);
    if (text == "bad") throw 3;
  };
  link.start(loop);
  link.peer->write("bad");
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
  link.peer->write("good");
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got == "badgood"; }));
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Backend, Carrier>>& info) {
  constexpr std::array kNames = {"plain", "server_v1_2", "server_v1_3", "client_v1_3"};
  return std::string(to_string(std::get<Backend>(info.param))) + "_" +
         kNames.at(static_cast<std::size_t>(std::get<Carrier>(info.param)));
}

// Returns each Carrier on one backend, and one Carrier on each other backend.
std::vector<std::tuple<Backend, Carrier>> cases() {
  std::vector<std::tuple<Backend, Carrier>> result;
  for (const Backend backend : available_backends()) {
    result.emplace_back(backend, Carrier::server_v1_3);
    if (result.size() > 1) continue;
    for (const Carrier carrier : {Carrier::plain, Carrier::server_v1_2, Carrier::client_v1_3}) {
      result.emplace_back(backend, carrier);
    }
  }
  return result;
}

INSTANTIATE_TEST_SUITE_P(Carriers, AnyStream, ::testing::ValuesIn(cases()), name_of);

}  // namespace
}  // namespace reactor::tls
