// SPDX-License-Identifier: MIT
// A StreamHandler is user code. These tests try everything that each of its functions may do, in
// every combination, on Streams with and without extras (G11).
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/base/internal/poison.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

enum class Call {
  open,
  adopt,
  read_buffer,
  data,
  end,
  drain,
  flushed,
  timeout,
  call,
  shutdown,
  migrate,
  close
};
constexpr std::array kCallNames = {"open", "adopt",    "read_buffer", "data",
                                   "end",  "drain",    "flush",       "timeout",
                                   "call", "shutdown", "migrate",     "close"};
enum class Act { destroy, close, fail, abort, detach, pause, write, raise };
constexpr std::array kActNames = {"destroy", "close", "fail",  "abort",
                                  "detach",  "pause", "write", "raise"};

// Does `act` at the first `call`, and counts the calls.
class Actor final : public StreamHandler {
 public:
  Actor(Call call, Act act) : call_(call), act_(act) {}

  void on_open(Stream&) override { enter(Call::open); }
  void on_adopt(Stream&, std::span<const std::byte>) override { enter(Call::adopt); }
  std::span<std::byte> read_buffer(Stream&) override {
    enter(Call::read_buffer);
    return buffer_;
  }
  void on_data(Stream&, std::span<std::byte> bytes) override {
    if (finished) ++late;
    got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    enter(Call::data);
  }
  void on_end(Stream&) override { enter(Call::end); }
  void on_drain(Stream&) override { enter(Call::drain); }
  void on_flushed(Stream&) override { enter(Call::flushed); }
  void on_timeout(Stream&) override { enter(Call::timeout); }
  void on_call(Stream&) override { enter(Call::call); }
  void on_shutdown(Stream&) override { enter(Call::shutdown); }
  HandOver on_hand_over(Stream&, std::vector<std::byte>&) override {
    enter(Call::migrate);
    return HandOver::no;
  }
  void on_close(Stream&, std::error_code code) noexcept override {
    ++closes;
    error = code;
    if (act_ == Act::destroy) enter(Call::close);
  }

  std::unique_ptr<Stream> stream;
  std::string got;
  std::error_code error;  // that on_close() got
  Socket socket;          // that detach() returned
  bool acted = false;
  bool finished = false;  // its action ended the input: on_data() must not be called any more
  int closes = 0;
  int late = 0;  // calls of on_data() after that

 private:
  void enter(Call call) {
    if (call != call_ || std::exchange(acted, true)) return;
    finished = act_ <= Act::abort;
    switch (act_) {
      case Act::destroy:
        return stream.reset();
      case Act::close:
        return stream->close();
      case Act::fail:
        return stream->fail(std::make_error_code(std::errc::io_error));
      case Act::abort:
        return stream->abort();
      case Act::detach:
        return detach();
      case Act::pause:
        return stream->pause_reading();
      case Act::write:
        return stream->write("answer");
      case Act::raise:
        throw Raised();
    }
  }
  void detach() {
    Result<Socket> given = stream->detach();
    if (!given) return;
    socket = std::move(*given);
    finished = true;
  }

  Call call_;
  Act act_;
  std::array<std::byte, 512> buffer_;
};

// Plays one combination, from the start of a Stream to its end.
class Play {
 public:
  Play(const LoopOptions& options, Call call, Act act, bool extras, bool likely_readable)
      : call_(call),
        act_(act),
        likely_readable_(likely_readable),
        loop_(copy(options)),
        actor_(call, act) {
    settings_.low_water = 1000;
    settings_.high_water = 10000;
    settings_.linger_time = std::chrono::milliseconds(50);
    FdPair pair = make_socket_pair();
    peer_.fd = std::move(pair.far);
    actor_.stream =
        std::make_unique<Stream>(loop_, Socket(std::move(pair.near)), actor_, settings_);
    if (extras) actor_.stream->count_bytes();
  }

  void run() {
    peer_.write("first");
    attempt([this] { start(); });
    const bool comes_by_itself = call_ <= Call::data;
    ASSERT_TRUE(until([&] { return comes_by_itself ? actor_.acted : actor_.got == "first"; }));
    if (!comes_by_itself) attempt([this] { provoke(); });
    ASSERT_TRUE(until([&] { return actor_.acted; }));
    attempt([this] { loop_.poll().value(); });
    check();
    EXPECT_EQ(actor_.late, 0) << "on_data after the end";
    EXPECT_EQ(thrown_, act_ == Act::raise ? 1 : 0);
  }

 private:
  static LoopOptions copy(const LoopOptions& options) {
    LoopOptions result;
    result.backend = options.backend;
    return result;
  }

  template <class Step>
  void attempt(Step step) {
    try {
      step();
    } catch (const Raised&) {
      ++thrown_;
    }
  }

  template <class Done>
  bool until(Done done) {
    const Patience patience(kLimit);
    while (!done()) {
      if (patience.over()) return false;
      attempt([this] { loop_.run_once(std::chrono::milliseconds(1)).value(); });
      peer_.read();
    }
    return true;
  }

  void start() {
    if (call_ == Call::adopt) {
      actor_.stream->start_adopted({});
    } else {
      actor_.stream->start(likely_readable_);
    }
  }

  void provoke() {
    Stream& stream = *actor_.stream;
    if (call_ == Call::end) ::shutdown(peer_.fd.get(), SHUT_WR);
    if (call_ == Call::drain || call_ == Call::flushed) stream.write(pattern(1000000));
    if (call_ == Call::timeout) stream.set_idle_timeout(std::chrono::milliseconds(1));
    if (call_ == Call::call) stream.call_soon();
    if (call_ == Call::shutdown) stream.request_shutdown();
    if (call_ == Call::close) stream.close();
    if (call_ == Call::migrate) {
      Nobody successor;
      EXPECT_EQ(stream.offer_to(successor),
                act_ == Act::destroy ? Stream::Offer::done : Stream::Offer::never);
    }
  }

  void check() {
    if (act_ == Act::destroy) {
      EXPECT_EQ(actor_.closes, call_ == Call::close ? 1 : 0);
    } else if (actor_.socket) {
      EXPECT_EQ(actor_.closes, 0);
    } else if (actor_.finished) {
      check_end();
    } else {
      check_life();
    }
  }

  void check_end() {
    EXPECT_TRUE(until([&] { return actor_.closes > 0; }));
    EXPECT_EQ(actor_.closes, 1);
    const std::error_code expected = act_ == Act::fail ? std::make_error_code(std::errc::io_error)
                                     : act_ == Act::abort
                                         ? std::make_error_code(std::errc::connection_aborted)
                                         : std::error_code();
    EXPECT_EQ(actor_.error, expected);
  }

  // Checks that the Stream still reads, writes and ends as if the action had not happened.
  void check_life() {
    Stream& stream = *actor_.stream;
    if (act_ == Act::pause) {
      const std::string before = actor_.got;
      if (call_ != Call::end) peer_.write("more");
      for (int turn = 0; turn < 3; ++turn) loop_.poll().value();
      EXPECT_EQ(actor_.got, before) << "paused";
      stream.resume_reading();
    } else if (call_ != Call::end) {
      peer_.write("more");
    }
    const std::string_view all = call_ == Call::end ? "first" : "firstmore";
    EXPECT_TRUE(until([&] { return actor_.got == all; })) << actor_.got;
    stream.close();
    EXPECT_TRUE(until([&] { return actor_.closes > 0 && peer_.end; }));
    EXPECT_EQ(actor_.closes, 1);
    EXPECT_EQ(peer_.got.find("answer") != peer_.got.npos, act_ == Act::write);
  }

  const Call call_;
  const Act act_;
  const bool likely_readable_;
  Loop loop_;
  StreamOptions settings_;
  Actor actor_;
  Peer peer_;
  int thrown_ = 0;
};

class StreamCallbacks : public LoopTest {
 protected:
  static void play(Call call) {
    for (std::size_t act = 0; act < kActNames.size(); ++act) {
      if (call == Call::close && act > 0) continue;  // it is over already, and noexcept
      for (const bool extras : {false, true}) {
        for (const bool likely_readable : {false, true}) {
          SCOPED_TRACE(std::string(kActNames[act]) + " in " +
                       kCallNames[static_cast<std::size_t>(call)] + (extras ? " with extras" : "") +
                       (likely_readable ? " at once" : ""));
          Play(options(), call, static_cast<Act>(act), extras, likely_readable).run();
        }
      }
    }
  }
};

TEST_P(StreamCallbacks, OnOpenMayDoAll) { play(Call::open); }
TEST_P(StreamCallbacks, OnAdoptMayDoAll) { play(Call::adopt); }
TEST_P(StreamCallbacks, ReadBufferMayDoAll) { play(Call::read_buffer); }
TEST_P(StreamCallbacks, OnDataMayDoAll) { play(Call::data); }
TEST_P(StreamCallbacks, OnEndMayDoAll) { play(Call::end); }
TEST_P(StreamCallbacks, OnDrainMayDoAll) { play(Call::drain); }
TEST_P(StreamCallbacks, OnFlushedMayDoAll) { play(Call::flushed); }
TEST_P(StreamCallbacks, OnTimeoutMayDoAll) { play(Call::timeout); }
TEST_P(StreamCallbacks, OnCallMayDoAll) { play(Call::call); }
TEST_P(StreamCallbacks, OnShutdownMayDoAll) { play(Call::shutdown); }
TEST_P(StreamCallbacks, OnMigrateMayDoAll) { play(Call::migrate); }
TEST_P(StreamCallbacks, OnCloseMayDestroyTheStream) { play(Call::close); }

// Lends no buffer until `lends` is set.
struct Reluctant final : Recorder {
  std::span<std::byte> read_buffer(Stream& stream) override {
    ++asked;
    return lends ? Recorder::read_buffer(stream) : std::span<std::byte>();
  }
  bool lends = false;
  int asked = 0;
};

TEST_P(StreamCallbacks, AnEmptyReadBufferLeavesTheInputToTheKernel) {
  for (const bool extras : {false, true}) {
    Loop loop(options());
    StreamOptions settings;
    Reluctant handler;
    FdPair pair = make_socket_pair();
    Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
    if (extras) stream.count_bytes();
    write_text(pair.far.get(), "input");
    stream.start();
    EXPECT_TRUE(run_bounded(loop, [&] { return handler.asked > 0; }));
    EXPECT_LE(run_for(loop, std::chrono::milliseconds(5)), 3) << "paused: it does not spin";
    EXPECT_EQ(handler.asked, 1);
    handler.lends = true;
    stream.resume_reading();
    EXPECT_TRUE(run_bounded(loop, [&] { return handler.got == "input"; }));
    EXPECT_EQ(handler.closes, 0);
  }
}

// Answers and closes when the Stream asks for a buffer, before it reads.
struct Dismissive final : Recorder {
  std::span<std::byte> read_buffer(Stream& stream) override {
    stream.write("no");
    stream.close();
    return Recorder::read_buffer(stream);
  }
};

TEST_P(StreamCallbacks, ClosingInReadBufferDoesNotDestroyTheAnswer) {
  for (const bool extras : {false, true}) {
    Loop loop(options());
    StreamOptions settings;
    Dismissive handler;
    FdPair pair = make_tcp_pair();
    Peer peer;
    peer.fd = std::move(pair.far);
    Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
    if (extras) stream.count_bytes();
    peer.write("question");
    stream.start(true);
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(peer.got, "no");
    EXPECT_EQ(peer.error, 0) << "no reset";
    EXPECT_EQ(handler.got, "");
  }
}

// Throws in on_drain(), and waits for on_flushed().
struct Spiller final : Recorder {
  void on_flushed(Stream&) override { ++flushes; }
  int flushes = 0;
};

TEST_P(StreamCallbacks, OnFlushedComesEvenIfOnDrainThrows) {
  for (const bool extras : {false, true}) {
    Loop loop(options());
    StreamOptions settings;
    settings.low_water = 0;
    settings.high_water = 1;
    Spiller handler;
    handler.when_drain = [](Stream&) { throw Raised(); };
    FdPair pair = make_socket_pair();
    Peer peer;
    peer.fd = std::move(pair.far);
    Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
    if (extras) stream.count_bytes();
    stream.start();
    stream.write(pattern(1000000));
    const auto flushed = [&] { return peer.read(), handler.flushes > 0; };
    EXPECT_THROW(static_cast<void>(pump(loop, flushed)), Raised);
    EXPECT_TRUE(pump(loop, flushed));
    EXPECT_EQ(handler.drains, 1);
    EXPECT_EQ(handler.flushes, 1);
  }
}

// ---- Lent memory ----

// Against the rules, this handler keeps pointers to memory that it was lent.
struct LentKeeper final : Recorder {
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    input = bytes.data();
    Recorder::on_data(stream, bytes);
    room = stream.write_room(8).data();
    EXPECT_FALSE(is_poisoned(room));
    std::fill_n(room, 8, std::byte{'x'});
    stream.wrote(8);
    EXPECT_EQ(is_poisoned(room), kPoisons) << "the room after wrote()";
  }
  const std::byte* input = nullptr;
  std::byte* room = nullptr;
};

TEST_P(StreamCallbacks, WhatIsLentIsPoisonedAfterwards) {
  for (const bool extras : {false, true}) {
    Loop loop(options());
    StreamOptions settings;
    LentKeeper handler;
    FdPair pair = make_socket_pair();
    Peer peer;
    peer.fd = std::move(pair.far);
    Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
    if (extras) stream.count_bytes();
    stream.start();
    for (const std::string_view text : {"first", "firstagain"}) {
      peer.write(text.substr(handler.got.size()));
      ASSERT_TRUE(run_bounded(loop, [&] { return handler.got == text; }));
      EXPECT_EQ(is_poisoned(handler.input), kPoisons) << "the scratch after on_data()";
    }
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "xxxxxxxxxxxxxxxx"; }));
  }
}

TEST_P(StreamCallbacks, TheScratchIsPoisonedAfterAnExceptionToo) {
  Loop loop(options());
  Link link(loop);
  const char* input = nullptr;
  link.handler.when_data = [&](Stream&, std::string_view text) {
    input = text.data();
    throw Raised();
  };
  link.start();
  link.peer.write("text");
  EXPECT_THROW((void)run_bounded(loop, [&] { return input != nullptr; }), Raised);
  EXPECT_EQ(is_poisoned(input), kPoisons);
  EXPECT_FALSE(is_poisoned(loop.scratch().data())) << "lent anew";
}

// A pending error belongs to its Stream. Another Stream at the same address must not get it.
TEST_P(StreamCallbacks, AFailureGoesWithItsStream) {
  Loop loop(options());
  StreamOptions settings;
  Recorder first, second;
  std::optional<Stream> stream;
  FdPair one = make_socket_pair(), two = make_socket_pair();
  stream.emplace(loop, Socket(std::move(one.near)), first, settings);
  first.when_open = [&](Stream& self) {
    self.fail(std::make_error_code(std::errc::io_error));
    stream.reset();
  };
  stream->start();
  EXPECT_FALSE(stream.has_value());
  stream.emplace(loop, Socket(std::move(two.near)), second, settings);
  stream->start();
  stream->fail(Errc::timed_out);
  EXPECT_TRUE(run_bounded(loop, [&] { return second.closes > 0; }));
  EXPECT_EQ(second.error, Errc::timed_out);
  EXPECT_EQ(first.closes, 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, StreamCallbacks, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
