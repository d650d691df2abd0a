// SPDX-License-Identifier: MIT
// A Stream over a Transport delivers every byte in order, however the Transport behaves.
#include "reactor/net/transport.h"

#include <sys/socket.h>

#include <memory>
#include <string>

#include "reactor/base/error.h"
#include "reactor/net/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/script_transport.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class StreamTransport : public LoopTest {
 protected:
  using Script = ScriptTransport::Script;

  // Echoes through a transport that follows `script`. The peer sends and gets bytes that are marked
  // (see ScriptTransport).
  static void expect_echo(Script script, std::size_t size, StreamOptions settings = {}) {
    Loop loop(options());
    Link link(loop, settings);
    link.stream->set_transport(std::make_unique<ScriptTransport>(script));
    link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
    link.start();
    const std::string text = pattern(size);
    const std::string sent = marked(text);
    std::size_t done = 0;
    EXPECT_TRUE(pump(loop, [&] {
      done += link.peer.write(std::string_view(sent).substr(done));
      link.peer.read();
      return link.peer.got.size() >= size || link.handler.closes > 0;
    }));
    EXPECT_EQ(link.handler.got, text);
    EXPECT_EQ(link.peer.got, sent);
    EXPECT_FALSE(link.handler.error) << link.handler.error.message();
  }
};

TEST_P(StreamTransport, CarriesEverything) { expect_echo({}, 300000); }

TEST_P(StreamTransport, AByteAtATime) {
  Script script;
  script.piece = 1;
  expect_echo(script, 2000);
}

// The transport has read all input already, so the kernel reports no more events.
TEST_P(StreamTransport, InputThatItHoldsIsReadWithoutAnEvent) {
  Script script;
  script.read_ahead = 1 << 16;
  script.piece = 7;
  expect_echo(script, 20000);
}

TEST_P(StreamTransport, InputThatItHoldsIsReadAfterAnException) {
  Loop loop(options());
  Script script;
  script.read_ahead = 4096;
  script.piece = 2;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.handler.when_data = [](Stream&, std::string_view text) {
    if (text == "AB") throw 3;
  };
  link.start();
  link.peer.write(marked("ABCDEF"));
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "ABCDEF"; }));
}

TEST_P(StreamTransport, MayNeedTheOtherDirection) {
  Script script;
  script.swaps = 50;
  script.piece = 100;
  expect_echo(script, 30000);
}

TEST_P(StreamTransport, OpensBeforeAnythingElse) {
  Loop loop(options());
  Script script;
  script.open_rounds = 3;
  script.writes_first = true;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.handler.when_open = [](Stream& stream) { stream.write("WELCOME"); };
  link.start();
  link.stream->write("EARLY ");
  EXPECT_EQ(link.handler.opens, 0);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(link.handler.opens, 0);
    link.peer.write("x");
    const std::size_t wanted = link.peer.got.size() + 1;
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() >= wanted; }));
  }
  const std::string all = "xxx" + marked("EARLY WELCOME");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() >= all.size(); }));
  EXPECT_EQ(link.peer.got, all);
  EXPECT_EQ(link.handler.opens, 1);
}

TEST_P(StreamTransport, WhatIsWrittenAndClosedBeforeItIsOpenIsSent) {
  for (const bool half : {false, true}) {
    for (const bool begun : {false, true}) {
      Loop loop(options());
      Script script;
      script.open_rounds = 1;
      Link link(loop);
      link.stream->set_transport(std::make_unique<ScriptTransport>(script));
      if (begun) link.start();
      link.stream->write("EARLY");
      half ? link.stream->shutdown() : link.stream->close();
      EXPECT_EQ(script.writes + script.ends, 0);
      if (!begun) link.start();
      link.peer.write("x");
      EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
      EXPECT_TRUE(link.peer.end);
      EXPECT_EQ(link.peer.got, marked("EARLY"));
      EXPECT_EQ(script.ends, 1);
      EXPECT_EQ(link.handler.closes, half ? 0 : 1);
    }
  }
}

TEST_P(StreamTransport, ClosedWithAQueueItWaitsToBeOpenWithoutSpinning) {
  Loop loop(options());
  Script script;
  script.open_rounds = 2;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.stream->write("EARLY");
  link.stream->close();
  link.peer.write("x");
  EXPECT_LE(run_for(loop, milliseconds(10)), 4);
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(StreamTransport, HalfClosedBeforeItIsOpenItOpens) {
  Loop loop(options());
  Script script;
  script.open_rounds = 1;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.stream->shutdown();
  run_for(loop, milliseconds(5));
  link.peer.read();
  EXPECT_FALSE(link.peer.end) << "the peer's part of the opening would find no one";
  link.peer.write("x" + marked("ANSWER"));
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.end; }));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "ANSWER"; }));
}

TEST_P(StreamTransport, OpeningHasALimit) {
  Loop loop(options());
  Script script;
  script.open_rounds = 1;
  script.open_limit = milliseconds(20);
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  const TimePoint start = monotonic_now();
  link.start();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_GE(monotonic_now() - start, milliseconds(20));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
  EXPECT_EQ(link.handler.opens, 0);
  EXPECT_EQ(link.handler.timeouts, 0);
}

TEST_P(StreamTransport, TheWriteTimeOutDoesNotRunWhileItOpens) {
  Loop loop(options());
  Script script;
  script.open_rounds = 1;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.stream->set_write_timeout(milliseconds(5));
  link.stream->write("EARLY");
  run_for(loop, milliseconds(15));
  link.start();
  run_for(loop, milliseconds(15));
  EXPECT_EQ(link.handler.closes, 0) << link.handler.error.message();
  link.peer.write("x");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got == marked("EARLY"); }));
  EXPECT_EQ(link.handler.closes, 0);
}

TEST_P(StreamTransport, APeerThatGoesWhileItOpensIsAnError) {
  Loop loop(options());
  Script script;
  script.open_rounds = 1;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.peer.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::connection_reset);
  EXPECT_EQ(link.handler.opens, 0);
}

TEST_P(StreamTransport, MayBeClosedOrDestroyedWhileItOpens) {
  for (const bool destroyed : {false, true}) {
    Loop loop(options());
    Script script;
    script.open_rounds = 1;
    Link link(loop);
    link.stream->set_transport(std::make_unique<ScriptTransport>(script));
    link.start();
    run_for(loop, milliseconds(2));
    if (destroyed) {
      link.stream.reset();
      EXPECT_TRUE(script.destroyed);
    } else {
      link.stream->close();
    }
    EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
    EXPECT_EQ(link.handler.closes, destroyed ? 0 : 1);
    EXPECT_EQ(link.handler.opens, 0);
    EXPECT_EQ(script.ends, 0) << "nothing was begun";
  }
}

// The peer's next byte and the end of the Stream are due in the same turn.
TEST_P(StreamTransport, ClosedWhileItOpensItOpensNoMore) {
  Loop loop(options());
  Script script;
  script.open_rounds = 1;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.peer.write("x");
  link.stream->close();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.opens, 0);
}

TEST_P(StreamTransport, EndedBeforeItStartsItNeverBegins) {
  for (const bool later : {false, true}) {
    for (void (*end)(Stream&) :
         {+[](Stream& stream) { stream.close(); }, +[](Stream& stream) { stream.abort(); },
          +[](Stream& stream) { stream.set_total_deadline({}); }}) {
      Loop loop(options());
      Script script;
      script.open_rounds = 1;
      Link link(loop);
      link.stream->set_transport(std::make_unique<ScriptTransport>(script));
      end(*link.stream);
      if (later) run_for(loop, milliseconds(5));
      if (!later && !link.stream->closing()) continue;
      link.start();
      EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes == 1; }));
      EXPECT_LE(run_for(loop, milliseconds(5)), 3);
      EXPECT_EQ(script.opens + link.handler.opens, 0);
    }
  }
}

TEST_P(StreamTransport, IsGivenToTheConnectionsOfAServer) {
  struct ScriptFactory final : TransportFactory {
    std::unique_ptr<Transport> make_transport() override {
      return std::make_unique<ScriptTransport>(script);
    }
    Script script;
  };
  Loop loop(options());
  ScriptFactory factory;
  ServerLimits limits;
  limits.transports = &factory;
  auto server = get(Server<Echo>::listen(loop, get(Address::parse("127.0.0.1:0")), limits));
  Peer peer;
  peer.fd = get(Socket::connect(server->addresses().at(0))).release();
  EXPECT_TRUE(pump(loop, [&] { return server->connections() == 1; }));
  peer.write("hello");
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 5; }));
  EXPECT_EQ(peer.got, "hello");
  EXPECT_GT(factory.script.reads, 0) << "marks cancel each other out";
}

TEST_P(StreamTransport, SaysGoodbyeBeforeTheEnd) {
  Loop loop(options());
  Script script;
  script.reluctant_ends = 2;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.stream->write("BYE");
  link.stream->close();
  EXPECT_EQ(script.ends, 1);
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.handler.closes > 0; }));
  EXPECT_EQ(script.ends, 3) << "two were too early";
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.peer.got, marked("BYE"));
  EXPECT_TRUE(link.peer.end);
  EXPECT_FALSE(link.handler.error);
}

TEST_P(StreamTransport, HalfCloseSaysGoodbyeOnceAndGoesOnReading) {
  Loop loop(options());
  Script script;
  script.reluctant_ends = 1;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  link.stream->write("ASK");
  link.stream->shutdown();
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.end; }));
  link.peer.write(marked("ANSWER"));
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "ANSWER"; }));
  ::shutdown(link.peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(script.ends, 2);
  EXPECT_FALSE(link.handler.error);
}

TEST_P(StreamTransport, AFailureSaysNoGoodbyeAndHasItsOwnName) {
  Loop loop(options());
  Script script;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  script.error_name = make_error_code(std::errc::protocol_error);
  link.start();
  script.fail_read_with = EIO;
  link.peer.write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error, std::errc::protocol_error);
  EXPECT_EQ(script.ends, 0);
}

TEST_P(StreamTransport, APauseHoldsBackWhatItHas) {
  Loop loop(options());
  Script script;
  script.read_ahead = 4096;
  script.piece = 2;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.handler.when_data = [](Stream& stream, std::string_view) { stream.pause_reading(); };
  link.start();
  link.peer.write(marked("ABCDEF"));
  EXPECT_TRUE(pump(loop, [&] { return link.handler.got == "AB"; }));
  EXPECT_LE(run_for(loop, milliseconds(10)), 3);
  EXPECT_EQ(link.handler.got, "AB");
  link.stream->resume_reading();
  EXPECT_TRUE(pump(loop, [&] { return link.handler.got == "ABCD"; }));
  link.handler.when_data = [&](Stream&, std::string_view) { link.stream.reset(); };
  link.stream->resume_reading();
  EXPECT_TRUE(pump(loop, [&] { return link.stream == nullptr; }));
  EXPECT_EQ(link.handler.got, "ABCDEF");
}

TEST_P(StreamTransport, HeldBackByASlowPeerAndDrained) {
  Script script;
  script.piece = 5000;
  script.read_ahead = 20000;
  StreamOptions settings;
  settings.high_water = 10000;
  settings.low_water = 1000;
  expect_echo(script, 2000000, settings);
}

TEST_P(StreamTransport, IsAskedToEndOnceItIsOpen) {
  Loop loop(options());
  Script script;
  script.open_rounds = 1;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.handler.when_shutdown = [&](Stream& stream) {
    EXPECT_EQ(link.handler.opens, 1);
    stream.write("GONE");
    stream.close();
  };
  link.start();
  link.stream->request_shutdown();
  EXPECT_TRUE(link.stream->asked_to_end());
  EXPECT_EQ(link.handler.shutdowns, 0);
  link.peer.write("x");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.over(); }));
  EXPECT_EQ(link.handler.shutdowns, 1);
  EXPECT_EQ(link.peer.got, marked("GONE"));
}

TEST_P(StreamTransport, StartedInAnothersCallback) {
  Loop loop(options());
  Script script;
  Link first(loop), second(loop);
  second.stream->set_transport(std::make_unique<ScriptTransport>(script));
  first.handler.when_data = [&](Stream&, std::string_view) { second.start(); };
  first.start();
  first.peer.write("x");
  EXPECT_TRUE(run_bounded(loop, [&] { return second.handler.opens == 1; }));
  second.peer.write("abc");
  EXPECT_TRUE(run_bounded(loop, [&] { return second.handler.got == "ABC"; }));
}

// The state of a transport can't move with its connection.
TEST_P(StreamTransport, DoesNotMigrate) {
  struct Taker final : HandOverTarget {
    HandOverReply send(int, std::span<const std::byte>) noexcept override {
      return HandOverReply::taken;
    }
  };
  Loop loop(options());
  Script script;
  Link link(loop);
  link.stream->set_transport(std::make_unique<ScriptTransport>(script));
  link.start();
  Taker taker;
  EXPECT_EQ(link.stream->offer_to(taker), Stream::Offer::never);
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamTransport, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
