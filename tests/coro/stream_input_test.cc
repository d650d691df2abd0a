// SPDX-License-Identifier: MIT
// In these tests of coro::Stream, bytes come while no coroutine reads, or the end comes together
// with a drain.
#include <sys/socket.h>
#include <unistd.h>

#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class StreamInput : public CoroTest {
 protected:
  // Runs turns in which the stream takes the bytes that its peer has sent, though no coroutine
  // reads.
  static void take(Loop& loop) {
    for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  }
};

// The first read empties the buffer, so the second one has to wait. An empty buffer does not mean
// the end.
TEST_P(StreamInput, AReadBehindTheLastKeptByteWaits) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("kept");
  take(loop);
  std::string first(4, '\0'), second(4, '\0'), third(4, '\0');
  bool waited = true;
  const auto body = [&]() -> Task<> {
    EXPECT_EQ((co_await line.stream.read(bytes_of(first))).value(), 4u);
    waited = false;
    EXPECT_EQ((co_await line.stream.read(bytes_of(second))).value(), 4u);
    waited = true;
    EXPECT_EQ((co_await line.stream.read_exactly(bytes_of(third))).value(), 4u);
    EXPECT_TRUE((co_await line.stream.read_some()).value().empty());
  };
  const Spawned reader = spawn(loop, body());
  take(loop);
  EXPECT_FALSE(waited) << "nothing was there yet";
  line.peer.write("more");
  EXPECT_TRUE(run_bounded(loop, [&] { return waited; }));
  line.peer.write("last");
  ::shutdown(line.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(run_bounded(loop, [&] { return reader.done(); }));
  EXPECT_EQ(first + second + third, "keptmorelast");
}

// Takes the bytes by read_exactly(), as a view, or as a line.
TEST_P(StreamInput, EachKindOfReadGoesOnBehindKeptBytes) {
  enum class Way { exactly, some, line };
  for (const Way way : {Way::exactly, Way::some, Way::line}) {
    SCOPED_TRACE(static_cast<int>(way));
    Loop loop(options());
    Line line(loop);
    std::string got;
    const auto read = [&]() -> Task<> {
      std::string text(4, '\0');
      if (way == Way::exactly) {
        EXPECT_EQ((co_await line.stream.read_exactly(bytes_of(text))).value(), 4u);
      } else if (way == Way::some) {
        text = (co_await line.stream.read_some()).value();
      } else {
        text = (co_await line.stream.read_line(10)).value().value();
      }
      got += text;
    };
    const auto body = [&]() -> Task<> {
      co_await read();
      co_await read();
    };
    line.peer.write("one\n");
    take(loop);
    const Spawned reader = spawn(loop, body());
    take(loop);
    EXPECT_FALSE(reader.done()) << "the second read waits";
    line.peer.write("two\n");
    EXPECT_TRUE(run_bounded(loop, [&] { return reader.done(); }));
    EXPECT_EQ(got, way == Way::line ? "onetwo" : "one\ntwo\n");
  }
}

// A drain has woken the reader, and the peer's end comes before the reader is resumed.
TEST_P(StreamInput, AReaderThatADrainWokeIsNotResumedByTheEndAsWell) {
  enum class Way { into, view, exactly };
  for (const Way way : {Way::into, Way::view, Way::exactly}) {
    SCOPED_TRACE(static_cast<int>(way));
    Loop loop(options());
    Line line(loop);
    int ends = 0;
    const auto body = [&]() -> Task<> {
      std::string text(4, '\0');
      std::size_t count = 1;
      if (way == Way::into) count = (co_await line.stream.read(bytes_of(text))).value();
      if (way == Way::view) count = (co_await line.stream.read_some()).value().size();
      if (way == Way::exactly) count = (co_await line.stream.read_exactly(bytes_of(text))).value();
      EXPECT_EQ(count, 0u);
      ++ends;
    };
    const Spawned reader = spawn(loop, body());
    take(loop);
    Deferred drain = loop.deferred([&] {
      line.stream.transport().request_shutdown();
      ::shutdown(line.peer.fd.get(), SHUT_WR);
    });
    drain.schedule();
    EXPECT_TRUE(loop.poll());  // both happen in one turn; the reader is resumed in the next
    EXPECT_TRUE(run_bounded(loop, [&] { return reader.done(); }));
    EXPECT_EQ(ends, 1);
  }
}

// Here bytes come instead of the end, and the next read gets them.
TEST_P(StreamInput, BytesThatMeetADrainAreTheNextReads) {
  Loop loop(options());
  Line line(loop);
  std::vector<std::string> got;
  const auto body = [&]() -> Task<> {
    for (int i = 0; i < 2; ++i) got.emplace_back((co_await line.stream.read_some()).value());
  };
  const Spawned reader = spawn(loop, body());
  take(loop);
  Deferred drain = loop.deferred([&] {
    line.stream.transport().request_shutdown();
    line.peer.write("late");
  });
  drain.schedule();
  EXPECT_TRUE(loop.poll());
  EXPECT_TRUE(run_bounded(loop, [&] { return reader.done(); }));
  EXPECT_EQ(got, (std::vector<std::string>{"", "late"}));
}

// ---- Listener ----

class ListenerInput : public StreamInput {};

// The loop learns that the descriptor is closed while no coroutine accepts, so accept() has to
// report it.
TEST_P(ListenerInput, AcceptingFromAClosedDescriptorIsAnErrorAndNoWait) {
  Loop loop(options());
  Socket socket = get(Socket::listen(Address::loopback(0), ListenOptions{}));
  const int number = socket.fd();
  const auto listener = get(Listener::adopt(loop, std::move(socket)));
  const Peer peer = connect_peer(listener->address());
  take(loop);  // an event that nobody awaits: the listener stops polling
  ::close(number);
  std::error_code error;
  const auto body = [&]() -> Task<> { error = (co_await listener->accept()).error(); };
  const Spawned accepting = spawn(loop, body());
  EXPECT_TRUE(run_bounded(loop, [&] { return accepting.done(); }));
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
  static_cast<void>(pipe_at(number).near.release());  // the listener closes it
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamInput, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, ListenerInput, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
