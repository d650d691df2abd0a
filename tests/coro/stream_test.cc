// SPDX-License-Identifier: MIT
// These tests cover coro::Stream: all ways of reading and writing, and the end.
#include <sys/socket.h>

#include <cstring>

#include "reactor/base/error.h"
#include "reactor/base/internal/poison.h"
#include "tests/coro/coro_test.h"
#include "tests/support/script_transport.h"

namespace reactor::coro {
namespace {

class Streams : public CoroTest {
 protected:
  // Runs `body` to its end, while the peer reads.
  [[nodiscard]] static bool talk(Loop& loop, Task<> body, Line& line) {
    const Spawned spawned = spawn(loop, std::move(body));
    return pump(loop, [&] { return line.peer.read(), spawned.done(); });
  }
};

TEST_P(Streams, ReadWhatThereIs) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("hello");
  const auto body = [&]() -> Task<> {
    std::array<std::byte, 64> buffer;
    const Result<std::size_t> first = co_await line.stream.read(buffer);
    EXPECT_EQ(*first, 5u);
    EXPECT_EQ(std::memcmp(buffer.data(), "hello", 5), 0);
    line.peer.write("again");
    Result<std::string_view> view = co_await line.stream.read_some();
    EXPECT_EQ(*view, "again");
    ::shutdown(line.peer.fd.get(), SHUT_WR);
    const Result<std::size_t> end = co_await line.stream.read(buffer);
    EXPECT_TRUE(end && *end == 0);
    Result<std::string_view> none = co_await line.stream.read_some();
    EXPECT_TRUE(none && none->empty());
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, ReadExactlyWhatIsAskedFor) {
  Loop loop(options());
  Line line(loop);
  const std::string text = pattern(100000);
  const auto body = [&]() -> Task<> {
    std::string head(10, '\0'), rest(text.size() - 10, '\0'), nothing, more(5, '\0');
    EXPECT_EQ(*co_await line.stream.read_exactly(bytes_of(head)), 10u);
    EXPECT_EQ(*co_await line.stream.read_exactly(bytes_of(nothing)), 0u);
    EXPECT_EQ(*co_await line.stream.read_exactly(bytes_of(rest)), rest.size());
    EXPECT_EQ(head + rest, text);
    const Result<std::size_t> cut = co_await line.stream.read_exactly(bytes_of(more));
    EXPECT_EQ(cut.error(), Errc::unexpected_end);
    const Result<std::size_t> end = co_await line.stream.read_exactly(bytes_of(more));
    EXPECT_TRUE(end && *end == 0);
  };
  const Spawned reader = spawn(loop, body());
  std::string_view left = text;
  EXPECT_TRUE(pump(loop, [&] {
    left.remove_prefix(line.peer.write(left.substr(0, 7001)));
    return left.empty();
  }));
  line.peer.write("abc");
  ::shutdown(line.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(pump(loop, [&] { return reader.done(); }));
}

TEST_P(Streams, ReadLines) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("one\r\n\ntwo\nunfinished");
  ::shutdown(line.peer.fd.get(), SHUT_WR);
  std::vector<std::string> lines;
  const auto body = [&]() -> Task<> {
    while (const auto text = (co_await line.stream.read_line(100)).value()) {
      lines.emplace_back(*text);
    }
  };
  EXPECT_TRUE(talk(loop, body(), line));
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "", "two", "unfinished"}));
}

TEST_P(Streams, ALineThatIsTooLongIsAnErrorAndNotLost) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("0123456789\nrest");
  const auto body = [&]() -> Task<> {
    const auto late = co_await line.stream.read_line(10);
    EXPECT_EQ(late.error(), Errc::too_long);
    EXPECT_EQ(late.error(), std::errc::message_size);
    auto fits = co_await line.stream.read_line(11);
    EXPECT_EQ(std::move(fits).value(), "0123456789");
    std::string rest(4, '\0');
    EXPECT_EQ(*co_await line.stream.read_exactly(bytes_of(rest)), 4u);
    EXPECT_EQ(rest, "rest");
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, ALineWithoutEndIsNotCollectedForEver) {
  Loop loop(options());
  Line line(loop);
  fill(line.peer.fd.get());
  const auto body = [&]() -> Task<> {
    const auto endless = co_await line.stream.read_line(5000);
    EXPECT_EQ(endless.error(), Errc::too_long);
    const auto all = co_await line.stream.read_all(20000);
    EXPECT_EQ(all.error(), Errc::too_long);
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, ReadUntilADelimiter) {
  Loop loop(options());
  Line line(loop);
  const auto body = [&]() -> Task<> {
    auto head = co_await line.stream.read_until("\r\n\r\n", 1000);
    EXPECT_EQ(std::move(head).value(), "a: b\r\n\r\n");
    const auto cut = co_await line.stream.read_until("\r\n\r\n", 1000);
    EXPECT_EQ(cut.error(), Errc::unexpected_end);
    Result<std::string_view> rest = co_await line.stream.read_all(100);
    EXPECT_EQ(*rest, "body");
    auto end = co_await line.stream.read_until("\r\n", 1000);
    EXPECT_EQ(std::move(end).value(), std::nullopt);
  };
  const Spawned reader = spawn(loop, body());
  for (const std::string_view part : {"a: b\r", "\n\r", "\nbo", "dy"}) {
    line.peer.write(part);
    run_for(loop, 1ms);
  }
  ::shutdown(line.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(pump(loop, [&] { return reader.done(); }));
}

// ---- Views ----

// A view keeps its bytes until the next read, even if more bytes arrive. After that, reading it is
// an error that sanitizers report.
TEST_P(Streams, AViewIsValidUntilTheNextRead) {
  enum class Way { line, delimiter, some };
  for (const Way way : {Way::line, Way::delimiter, Way::some}) {
    Loop loop(options());
    Line line(loop);
    const auto read = [&]() -> Task<std::string_view> {
      if (way == Way::line) co_return (co_await line.stream.read_line(4000)).value().value();
      if (way == Way::some) co_return (co_await line.stream.read_some()).value();
      co_return (co_await line.stream.read_until("\n", 4000)).value().value();
    };
    const auto body = [&]() -> Task<> {
      line.peer.write(pattern(1000) + "\n" + pattern(900) + "\n");
      std::string_view view = co_await read();
      for (int next = 0; next < 3; ++next) {
        const std::string copy(view);
        for (int i = 0; i < 4; ++i) {
          line.peer.write(std::string(2500, 'X') + "\n");
          co_await sleep_for(1ms);
        }
        EXPECT_EQ(view, copy);
        const char* const old = view.data();
        view = co_await read();
        EXPECT_EQ(is_poisoned(old), kPoisons && old != view.data());
      }
    };
    EXPECT_TRUE(talk(loop, body(), line));
  }
}

TEST_P(Streams, AViewOfAllIsValidAfterTheEnd) {
  Loop loop(options());
  Line line(loop);
  const std::string text = pattern(20000);
  const auto body = [&]() -> Task<> {
    line.peer.write(text);
    ::shutdown(line.peer.fd.get(), SHUT_WR);
    const Result<std::string_view> all = co_await line.stream.read_all(30000);
    co_await sleep_for(2ms);
    EXPECT_EQ(all.value(), text);
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, InputBehindAViewIsNotLost) {
  Loop loop(options());
  Line line(loop);
  const auto body = [&]() -> Task<> {
    line.peer.write("one\n");
    auto one = co_await line.stream.read_line(100);
    line.peer.write("two\nthree");
    co_await sleep_for(1ms);
    ::shutdown(line.peer.fd.get(), SHUT_WR);
    co_await sleep_for(1ms);
    EXPECT_EQ(**one, "one");
    auto two = co_await line.stream.read_line(100);
    EXPECT_EQ(**two, "two");
    auto three = co_await line.stream.read_line(100);
    EXPECT_EQ(**three, "three");
    auto end = co_await line.stream.read_line(100);
    EXPECT_FALSE(end.value().has_value());
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, AsManyBytesAsAreAllowedWithoutTheEndAreTooLong) {
  Loop loop(options());
  Line line(loop);
  const auto body = [&]() -> Task<> {
    line.peer.write("12345");
    const auto text = co_await line.stream.read_line(5);
    EXPECT_EQ(text.error(), Errc::too_long);
    line.peer.write("\n");
    auto whole = co_await line.stream.read_line(6);
    EXPECT_EQ(**whole, "12345");
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, ReadAll) {
  Loop loop(options());
  Line line(loop);
  const std::string text = pattern(50000);
  line.peer.write(text);
  ::shutdown(line.peer.fd.get(), SHUT_WR);
  const auto body = [&]() -> Task<> {
    Result<std::string_view> all = co_await line.stream.read_all(text.size());
    EXPECT_TRUE(all && *all == text);
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

TEST_P(Streams, APeerIsHeldBackWhileNobodyReads) {
  Loop loop(options());
  Line line(loop);
  const std::string text = pattern(16 << 20);
  std::size_t taken = 0;
  for (int round = 0; round < 20; ++round) {
    taken += line.peer.write(std::string_view(text).substr(taken));
    run_for(loop, 100us);
  }
  EXPECT_LT(taken, text.size()) << "what the kernel holds, and 4 KiB";
}

TEST_P(Streams, AWriterWaitsForASlowPeer) {
  Loop loop(options());
  Line line(loop);
  const std::string text = pattern(8 << 20);
  bool written = false;
  const auto body = [&]() -> Task<> {
    EXPECT_TRUE((co_await line.stream.write(text)).has_value());
    written = true;
    EXPECT_TRUE((co_await line.stream.write("the end")).has_value());
    EXPECT_TRUE((co_await line.stream.flush()).has_value());
    EXPECT_EQ(line.stream.transport().queued(), 0u);
    line.stream.shutdown();
  };
  const Spawned writer = spawn(loop, body());
  run_for(loop, 5ms);
  EXPECT_FALSE(written);
  EXPECT_LE(line.stream.transport().queued(), std::size_t{256} * 1024) << "not copied whole";
  EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.end; }));
  EXPECT_TRUE(line.peer.got == text + "the end");
  EXPECT_TRUE(writer.done());
}

TEST_P(Streams, AFlushWaitsUntilASlowPeerHasTakenAll) {
  Loop loop(options());
  StreamOptions settings;
  const std::string text = pattern(1 << 20);
  settings.high_water = 2 * text.size();
  Line line(loop, settings);
  const int small = 4096;
  ::setsockopt(line.stream.transport().fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  bool flushed = false;
  const auto body = [&]() -> Task<> {
    EXPECT_TRUE((co_await line.stream.write(text)).has_value());
    EXPECT_GT(line.stream.transport().queued(), 0u);
    EXPECT_TRUE((co_await line.stream.flush()).has_value());
    EXPECT_EQ(line.stream.transport().queued(), 0u);
    flushed = true;
  };
  const Spawned writer = spawn(loop, body());
  for (int turn = 0; turn < 5; ++turn) ASSERT_TRUE(loop.poll());
  EXPECT_FALSE(flushed);
  EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), writer.done(); }));
  EXPECT_TRUE(flushed);
}

TEST_P(Streams, AWriteWaitsUntilHandsAreShaken) {
  Loop loop(options());
  ScriptTransport::Script script;
  script.open_rounds = 1;
  FdPair pair = make_tcp_pair();
  Peer peer;
  peer.fd = std::move(pair.far);
  Stream stream(loop, Socket(std::move(pair.near)), std::make_unique<ScriptTransport>(script));
  bool written = false;
  const auto body = [&]() -> Task<> {
    EXPECT_TRUE((co_await stream.write("hello")).has_value());
    written = true;
  };
  const Spawned writer = spawn(loop, body());
  for (int turn = 0; turn < 5; ++turn) ASSERT_TRUE(loop.poll());
  EXPECT_FALSE(written);
  peer.write("!");
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), written && peer.got == marked("hello"); }));
}

TEST_P(Streams, AHalfCloseIsAnsweredInFull) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("question");
  ::shutdown(line.peer.fd.get(), SHUT_WR);
  const auto body = [&]() -> Task<> {
    const std::string question((co_await line.stream.read_all(100)).value());
    (co_await line.stream.write("answer to " + question)).value();
    line.stream = {};
  };
  EXPECT_TRUE(talk(loop, body(), line));
  EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.end; }));
  EXPECT_EQ(line.peer.got, "answer to question");
}

TEST_P(Streams, WhatWasWrittenIsSentThoughTheStreamIsGone) {
  Loop loop(options());
  std::optional<Line> line(std::in_place, loop);
  const std::string text = pattern(200000);
  const auto body = [&]() -> Task<> {
    const Stream mine = std::move(line->stream);
    (void)co_await with_timeout(1ms, const_cast<Stream&>(mine).write(text));
  };
  EXPECT_TRUE(talk(loop, body(), *line));
  EXPECT_TRUE(pump(loop, [&] { return line->peer.read(), line->peer.end; }));
  EXPECT_GT(line->peer.got.size(), 0u);
  EXPECT_EQ(line->peer.got, text.substr(0, line->peer.got.size()));
  EXPECT_TRUE(run_to_end(loop));
}

TEST_P(Streams, AResetIsTheErrorOfEachCall) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  Loop loop(options());
  Line line(loop);
  const auto body = [&]() -> Task<> {
    std::array<std::byte, 8> buffer;
    const Result<std::size_t> read = co_await line.stream.read(buffer);
    EXPECT_EQ(read.error(), std::errc::connection_reset);
    const Result<std::size_t> again = co_await line.stream.read(buffer);
    EXPECT_EQ(again.error(), std::errc::connection_reset);
    const Result<> write = co_await line.stream.write("x");
    EXPECT_EQ(write.error(), std::errc::connection_reset);
    const Result<> flush = co_await line.stream.flush();
    EXPECT_EQ(flush.error(), std::errc::connection_reset);
  };
  const Spawned reader = spawn(loop, body());
  run_for(loop, 1ms);
  reset_on_close(line.peer.fd.get());
  line.peer.fd.reset();
  EXPECT_TRUE(pump(loop, [&] { return reader.done(); }));
}

TEST_P(Streams, AWriteThatFailsSaysSo) {
  Loop loop(options());
  const std::string much(100000, 'x');
  for (const std::string_view text : {std::string_view("lost"), std::string_view(much)}) {
    Line line(loop);
    const auto body = [&]() -> Task<> {
      reset_on_close(line.peer.fd.get());
      line.peer.fd.reset();
      const Result<> write = co_await line.stream.write(text);
      EXPECT_TRUE(write.error() == std::errc::connection_reset ||
                  write.error() == std::errc::broken_pipe);
      const Result<> again = co_await line.stream.write(text);
      EXPECT_EQ(again.error(), write.error());
      const Result<> flush = co_await line.stream.flush();
      EXPECT_EQ(flush.error(), write.error());
      line.stream = {};
    };
    EXPECT_TRUE(run(loop, body()));
  }
}

// Inside a callback of the stream, small writes are only collected.
TEST_P(Streams, AFlushFindsThatAWriteFailed) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("hello");
  const auto body = [&]() -> Task<> {
    (void)co_await line.stream.read_some();
    reset_on_close(line.peer.fd.get());
    line.peer.fd.reset();
    EXPECT_TRUE((co_await line.stream.write("lost")).has_value());
    const Result<> flush = co_await line.stream.flush();
    EXPECT_TRUE(flush.error() == std::errc::connection_reset ||
                flush.error() == std::errc::broken_pipe);
    line.stream = {};
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Streams, NothingIsWrittenAfterTheEndOfWriting) {
  Loop loop(options());
  const std::string much(100000, 'x');
  for (const std::string_view text : {std::string_view("lost"), std::string_view(much)}) {
    Line line(loop);
    const auto body = [&]() -> Task<> {
      EXPECT_TRUE((co_await line.stream.write("all")).has_value());
      line.stream.shutdown();
      const Result<> late = co_await line.stream.write(text);
      EXPECT_EQ(late.error(), std::errc::broken_pipe);
      EXPECT_TRUE((co_await line.stream.flush()).has_value());
      line.peer.write("read on");
      Result<std::string_view> some = co_await line.stream.read_some();
      EXPECT_EQ(*some, "read on");
      line.stream.close();
      const Result<> later = co_await line.stream.write(text);
      EXPECT_EQ(later.error(), std::errc::broken_pipe);
      const Result<> flush = co_await line.stream.flush();
      EXPECT_EQ(flush.error(), std::errc::broken_pipe);
    };
    EXPECT_TRUE(talk(loop, body(), line));
    EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.end; }));
    EXPECT_EQ(line.peer.got, "all");
  }
}

// Another coroutine ends the stream while the writer waits.
TEST_P(Streams, AWriterHearsThatWritingEnded) {
  using Ending = void (*)(Stream&);
  const Ending endings[] = {[](Stream& stream) { stream.shutdown(); },
                            [](Stream& stream) { stream.close(); }};
  for (const Ending end : endings) {
    Loop loop(options());
    Line line(loop);
    const std::string text = pattern(8 << 20);
    std::error_code written;
    const auto body = [&]() -> Task<> { written = (co_await line.stream.write(text)).error(); };
    const Spawned writer = spawn(loop, body());
    run_for(loop, 1ms);
    EXPECT_FALSE(writer.done());
    end(line.stream);
    EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.end; }));
    EXPECT_TRUE(pump(loop, [&] { return writer.done(); }));
    EXPECT_EQ(written, std::errc::broken_pipe);
    EXPECT_EQ(line.peer.got, text.substr(0, line.peer.got.size()));
  }
}

// The stream fails and is destroyed in the same turn, by a coroutine that is resumed before the
// reader.
TEST_P(Streams, AReaderOfAFailedStreamThatGoesIsTold) {
  Loop loop(options());
  Line line(loop);
  Event event;
  std::error_code read;
  const auto reading = [&]() -> Task<> { read = (co_await line.stream.read_some()).error(); };
  const auto going = [&]() -> Task<> {
    co_await event.wait();
    line.stream = {};
  };
  const Spawned reader = spawn(loop, reading());
  const Spawned goer = spawn(loop, going());
  run_for(loop, 1ms);
  const FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "x");
  IoWatcher watcher;
  const auto set = [&](Ready) {
    watcher = {};
    event.set();
  };
  watcher = get(loop.watch(pipe.near.get(), Interest::read, set));
  // The failure is reported after the watcher's event.
  line.stream.transport().fail(std::make_error_code(std::errc::io_error));
  EXPECT_TRUE(pump(loop, [&] { return reader.done() && goer.done(); }));
  EXPECT_EQ(read, std::errc::operation_canceled);
}

TEST_P(Streams, AnIdleTimeoutIsTheErrorToo) {
  Loop loop(options());
  StreamOptions settings;
  settings.idle_timeout = 5ms;
  Line line(loop, settings);
  const auto body = [&]() -> Task<> {
    const auto text = co_await line.stream.read_line(100);
    EXPECT_EQ(text.error(), Errc::timed_out);
    line.stream = {};
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Streams, ATimeoutLeavesTheConnectionAsItIs) {
  Loop loop(options());
  Line line(loop);
  const auto body = [&]() -> Task<> {
    line.peer.write("par");
    const auto late = co_await with_timeout(3ms, line.stream.read_line(100));
    EXPECT_EQ(late.error(), Errc::timed_out);
    line.peer.write("t\n");
    auto text = co_await line.stream.read_line(100);
    EXPECT_EQ(std::move(text).value(), "part");
  };
  EXPECT_TRUE(talk(loop, body(), line));
}

// The awaiter of a finished read lives until the end of the full expression.
TEST_P(Streams, TwoReadsInOneExpression) {
  Loop loop(options());
  Line line(loop);
  std::vector<std::string> lines;
  const auto keep = [&](Result<std::optional<std::string_view>> text) {
    lines.emplace_back(text.value().value_or("none"));
  };
  const auto body = [&]() -> Task<> {
    keep(co_await line.stream.read_line(100)), keep(co_await line.stream.read_line(100));
  };
  const Spawned reader = spawn(loop, body());
  run_for(loop, 1ms);
  line.stream.transport().request_shutdown();  // wakes the first read
  line.peer.write("par");
  line.stream.transport().request_shutdown();
  run_for(loop, 1ms);
  line.peer.write("tial\n");
  EXPECT_TRUE(pump(loop, [&] { return reader.done(); }));
  EXPECT_EQ(lines, (std::vector<std::string>{"none", "partial"}));
}

TEST_P(Streams, WhoWaitsForAStreamThatGoesIsTold) {
  Loop loop(options());
  std::optional<Line> line(std::in_place, loop);
  fill(line->stream.transport().fd());
  std::error_code read, written;
  const std::string text = pattern(1 << 20);
  const auto reading = [&]() -> Task<> { read = (co_await line->stream.read_some()).error(); };
  const auto writing = [&]() -> Task<> { written = (co_await line->stream.write(text)).error(); };
  const Spawned reader = spawn(loop, reading());
  const Spawned writer = spawn(loop, writing());
  ASSERT_TRUE(loop.poll().has_value());
  line.reset();
  EXPECT_TRUE(pump(loop, [&] { return reader.done() && writer.done(); }));
  EXPECT_EQ(read, std::errc::operation_canceled);
  EXPECT_EQ(written, std::errc::operation_canceled);
}

TEST_P(Streams, GiveTheSocketBack) {
  Loop loop(options());
  Line line(loop);
  std::error_code read;
  const auto reading = [&]() -> Task<> { read = (co_await line.stream.read_some()).error(); };
  const auto body = [&]() -> Task<> {
    line.peer.write("one\ntwo");
    EXPECT_EQ((co_await line.stream.read_line(10)).value(), "one");
    const Result<Socket> unread = line.stream.detach();
    EXPECT_EQ(unread.error(), std::errc::device_or_resource_busy);
    EXPECT_EQ((co_await line.stream.read_some()).value(), "two");
  };
  EXPECT_TRUE(talk(loop, body(), line));
  const Spawned reader = spawn(loop, reading());
  run_for(loop, 1ms);
  const Socket socket = get(line.stream.detach());
  EXPECT_FALSE(line.stream);
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(read, std::errc::operation_canceled);
  write_text(socket.fd(), "mine");
  EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.got == "mine"; }));
}

TEST_P(Streams, GiveTheSocketBackInTheirOwnCallback) {
  Loop loop(options());
  Line line(loop);
  line.peer.write("hello");
  Socket socket;
  const auto body = [&]() -> Task<> {
    (void)co_await line.stream.read_some();
    (co_await line.stream.write("bye")).value();
    socket = line.stream.detach().value();
  };
  EXPECT_TRUE(talk(loop, body(), line));
  EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.got == "bye"; }));
  socket = {};
  EXPECT_TRUE(pump(loop, [&] { return line.peer.read(), line.peer.end; }));
}

TEST_P(Streams, MayOutliveTheirLoop) {
  std::optional<Line> line;
  {
    Loop loop(options());
    line.emplace(loop);
    ASSERT_TRUE(loop.poll().has_value());
  }
  line.reset();
}

INSTANTIATE_TEST_SUITE_P(Backends, Streams, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
