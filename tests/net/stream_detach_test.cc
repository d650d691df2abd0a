// SPDX-License-Identifier: MIT
// These tests detach and abort Streams, and read their counters.
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/net/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/script_transport.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class StreamDetach : public LoopTest {
 protected:
  // Checks that both directions of `socket` still work.
  static void expect_usable(Loop& loop, const Socket& socket, Peer& peer) {
    write_text(socket.fd(), "by hand");
    peer.got.clear();
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "by hand"; }));
    peer.write("answer");
    std::string got;
    EXPECT_TRUE(pump(loop, [&] {
      got += read_text(socket.fd());
      return got == "answer";
    }));
  }
};

class StreamAbort : public LoopTest {};
class StreamCounters : public LoopTest {};

TEST_P(StreamDetach, GivesTheSocketBack) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.stream->set_idle_timeout(milliseconds(1));
  link.stream->set_total_deadline(monotonic_now() + milliseconds(1));
  Socket socket = get(link.stream->detach());
  EXPECT_EQ(link.stream->fd(), -1);
  EXPECT_TRUE(link.stream->closing());
  EXPECT_EQ(loop.counts().transports, 0U);
  run_for(loop, milliseconds(10));
  expect_usable(loop, socket, link.peer);
  link.stream->write("ignored");
  link.stream->close();
  link.stream->abort();
  EXPECT_EQ(link.stream->detach().error(), std::errc::not_connected);
  run_for(loop, milliseconds(2));
  EXPECT_EQ(link.handler.closes + link.handler.timeouts, 0);
  EXPECT_EQ(link.peer.got, "by hand");

  Recorder second;
  Stream again(loop, std::move(socket), second, link.options);
  again.start();
  link.peer.write("once more");
  EXPECT_TRUE(run_bounded(loop, [&] { return second.got == "once more"; }));
}

TEST_P(StreamDetach, InsideACallbackAfterWhatItWrote) {
  for (const bool destroyed : {false, true}) {
    Loop loop(options());
    Link link(loop);
    Socket socket;
    link.handler.when_data = [&](Stream& stream, std::string_view) {
      stream.write("last words");
      socket = get(stream.detach());
      if (destroyed) link.stream.reset();
    };
    link.start();
    link.peer.write("x");
    EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(socket); }));
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got == "last words"; }));
    expect_usable(loop, socket, link.peer);
    EXPECT_EQ(link.handler.closes, 0);
  }
}

TEST_P(StreamDetach, InOnOpenAndAfterTheLoop) {
  auto loop = std::make_unique<Loop>(options());
  Link link(*loop);
  Socket socket;
  link.handler.when_open = [&](Stream& stream) { socket = get(stream.detach()); };
  link.start(true);
  ASSERT_TRUE(socket);
  EXPECT_EQ(loop->counts().transports, 0U);
  loop.reset();
  link.stream.reset();
}

TEST_P(StreamDetach, NotWhileSomethingIsQueued) {
  Loop loop(options());
  Link link(loop);
  EXPECT_EQ(link.stream->detach().error(), std::errc::not_connected) << "not before start()";
  link.start();
  const std::string text = pattern(8000000);
  link.stream->write(text);
  EXPECT_EQ(link.stream->detach().error(), std::errc::device_or_resource_busy);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() == text.size(); }));
  EXPECT_TRUE(link.stream->detach());
}

TEST_P(StreamDetach, NotWithATransport) {
  Loop loop(options());
  ScriptTransport::Script script;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  EXPECT_EQ(link.stream->detach().error(), Errc::not_supported);
}

// This handler detaches its connection, which makes room for another connection in the server.
class Leaver final : public StreamHandler {
 public:
  using Context = Socket;
  explicit Leaver(Socket& out) : out_(out) {}
  ~Leaver() { left = true; }
  void on_data(Stream& stream, std::span<std::byte>) override {
    left = false;
    out_ = stream.detach().value();
    EXPECT_FALSE(left) << "still in its callback";
  }
  static inline bool left = false;

 private:
  Socket& out_;
};

TEST_P(StreamDetach, AServersConnectionGoesByItself) {
  Loop loop(options());
  Socket out;
  auto server = get(Server<Leaver>::listen(loop, Address::loopback(0), ServerLimits{}, out));
  Peer peer;
  peer.fd = get(Socket::connect(server->addresses().at(0))).release();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
  peer.write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(out); }));
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
  EXPECT_TRUE(Leaver::left);
  expect_usable(loop, out, peer);
}

TEST_P(StreamAbort, IsAResetForThePeer) {
  for (const bool queued : {false, true}) {
    Loop loop(options());
    Link link(loop);
    link.start();
    if (queued) link.stream->write(pattern(8000000));
    link.stream->abort();
    EXPECT_EQ(link.handler.closes, 0) << "not from inside";
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_EQ(link.handler.error, std::errc::connection_aborted);
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
    EXPECT_EQ(link.peer.error, ECONNRESET);
  }
}

TEST_P(StreamAbort, InACallbackAndWhileClosing) {
  for (const bool closing : {false, true}) {
    Loop loop(options());
    Link link(loop);
    link.handler.when_data = [&](Stream& stream, std::string_view) {
      if (closing) stream.close(true);
      stream.abort();
    };
    link.start();
    link.peer.write("x");
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_EQ(link.handler.error, std::errc::connection_aborted);
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
    EXPECT_EQ(link.peer.error, ECONNRESET);
  }
}

TEST_P(StreamCounters, CountWhatMoves) {
  Loop loop(options());
  Link link(loop);
  const std::string text = pattern(700000);
  link.start();
  EXPECT_EQ(link.stream->bytes_read() + link.stream->bytes_written(), 0U);
  link.stream->count_bytes();
  link.stream->write(text);
  EXPECT_EQ(link.stream->bytes_written(), text.size() - link.stream->queued());
  std::size_t sent = 0;
  EXPECT_TRUE(pump(loop, [&] {
    sent += link.peer.write(std::string_view(text).substr(sent));
    link.peer.read();
    EXPECT_EQ(link.stream->bytes_read(), link.handler.got.size());
    return link.peer.got.size() == text.size() && link.handler.got.size() == text.size();
  }));
  EXPECT_EQ(link.stream->bytes_written(), text.size());
  EXPECT_EQ(link.stream->bytes_read(), text.size());
  EXPECT_EQ(link.peer.got, text);
  EXPECT_EQ(link.handler.got, text);
  link.handler.when_data = [](Stream& stream, std::string_view) {
    stream.write("a");
    stream.write_now(std::as_bytes(std::span("b", 1)));
    (void)stream.write_room(2);
    stream.wrote(2);
  };
  link.peer.write("xyz");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.stream->bytes_read() == text.size() + 3; }));
  EXPECT_EQ(link.stream->bytes_written(), text.size() + 4);
}

// A Stream with extras behaves like one without, from start to end.
TEST_P(StreamCounters, ChangeNothingElse) {
  Loop loop(options());
  StreamOptions settings;
  settings.high_water = 100000;
  settings.low_water = 1000;
  Link link(loop, settings);
  link.stream->count_bytes();
  link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  link.handler.when_end = [](Stream& stream) { stream.shutdown(); };
  link.start(true);
  const std::string text = pattern(1000000);
  std::size_t sent = 0;
  EXPECT_TRUE(pump(loop, [&] {
    sent += link.peer.write(std::string_view(text).substr(sent));
    if (link.handler.drains == 0 && link.stream->queued() < settings.high_water) return false;
    link.peer.read();
    return link.peer.got.size() == text.size();
  }));
  EXPECT_GE(link.handler.drains, 1);
  ::shutdown(link.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.end; }));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.peer.got, text);
  EXPECT_FALSE(link.handler.error);
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamDetach, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, StreamAbort, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, StreamCounters, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
