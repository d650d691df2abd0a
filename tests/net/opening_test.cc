// SPDX-License-Identifier: MIT
// These transports take long to open, as for a TLS handshake. Other connections do not wait for
// them.
#include <memory>
#include <optional>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/net/server.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

// This is longer than the steps of a turn may take together, so a turn has time for only one step.
constexpr Duration kLongStep = milliseconds(2);

// Waits for a byte, uses up CPU time, and then carries bytes unchanged.
class SlowOpening final : public Transport {
 public:
  struct Notes {
    int steps = 0;  // the steps that found a byte
    Duration each = kLongStep;
    bool throws = false;
    Duration limit = std::chrono::seconds(10);
  };
  explicit SlowOpening(Notes& notes) : notes_(notes) {}

  IoResult open(int fd) override {
    std::byte hello{};
    const IoResult result = Socket::receive(fd, {&hello, 1});
    if (!result.ok()) return result;
    ++notes_.steps;
    burn(notes_.each);
    if (std::exchange(notes_.throws, false)) throw 3;
    return IoResult::bytes(0);
  }
  [[nodiscard]] bool open_is_costly() const noexcept override { return true; }
  [[nodiscard]] Duration open_limit() const noexcept override { return notes_.limit; }
  IoResult read(int fd, std::span<std::byte> buffer) override {
    return Socket::receive(fd, buffer);
  }
  IoResult write(int fd, std::span<const std::byte> bytes) override {
    return Socket::send(fd, bytes);
  }
  IoResult end_writing(int) noexcept override { return IoResult::bytes(0); }

 private:
  Notes& notes_;
};

struct Factory final : TransportFactory {
  std::unique_ptr<Transport> make_transport() override {
    return std::make_unique<SlowOpening>(notes);
  }
  SlowOpening::Notes notes;
};

class Opening : public LoopTest {
 protected:
  // Returns Links that have begun to open, and whose peers have sent one byte.
  static std::vector<std::unique_ptr<Link>> start_many(Loop& loop, SlowOpening::Notes& notes,
                                                       int count) {
    std::vector<std::unique_ptr<Link>> links;
    for (int i = 0; i < count; ++i) {
      links.push_back(std::make_unique<Link>(loop, StreamOptions{}, &make_socket_pair));
      links.back()->stream->set_transport(std::make_unique<SlowOpening>(notes));
      links.back()->peer.write("h");
      links.back()->start(true);
    }
    return links;
  }
};

TEST_P(Opening, ATurnHasRoomForOneLongStep) {
  Loop loop(options());
  SlowOpening::Notes notes;
  const auto links = start_many(loop, notes, 10);
  EXPECT_EQ(notes.steps, 0) << "start() never computes";
  for (int turn = 1; turn <= 10; ++turn) {
    ASSERT_TRUE(loop.poll());
    EXPECT_EQ(notes.steps, turn);
  }
  for (const auto& link : links) EXPECT_EQ(link->handler.opens, 1);
}

TEST_P(Opening, EstablishedConnectionsGoOnMeanwhile) {
  Loop loop(options());
  Link busy(loop, {}, &make_socket_pair);
  busy.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  busy.start();
  ASSERT_TRUE(loop.poll());
  SlowOpening::Notes notes;
  const auto links = start_many(loop, notes, 10);
  for (int round = 1; round <= 5; ++round) {
    busy.peer.write("x");
    ASSERT_TRUE(loop.poll());
    busy.peer.read();
    EXPECT_EQ(busy.peer.got.size(), static_cast<std::size_t>(round)) << "answered in its turn";
    EXPECT_LE(notes.steps, round);
  }
}

TEST_P(Opening, ShortStepsShareATurn) {
  Loop loop(options());
  SlowOpening::Notes notes{.each = Duration::zero()};
  const auto links = start_many(loop, notes, 200);
  int turns = 0;
  EXPECT_TRUE(run_bounded(loop, [&] { return ++turns, notes.steps == 200; }));
  EXPECT_LT(turns, 100);
}

TEST_P(Opening, OneThatEndsWhileItWaitsNeverOpens) {
  Loop loop(options());
  SlowOpening::Notes notes;
  auto links = start_many(loop, notes, 4);
  links[0]->stream.reset();
  links[1]->stream->close();
  links[2]->stream->fail(Errc::timed_out);
  EXPECT_TRUE(run_bounded(loop, [&] {
    return links[1]->handler.closes + links[2]->handler.closes + links[3]->handler.opens == 3;
  }));
  EXPECT_EQ(notes.steps, 1);
  EXPECT_EQ(links[2]->handler.error, Errc::timed_out);
}

TEST_P(Opening, TheOnlyOneMayEndWhileItWaits) {
  Loop loop(options());
  SlowOpening::Notes notes;
  auto links = start_many(loop, notes, 1);
  links.clear();
  ASSERT_TRUE(loop.poll());
  EXPECT_EQ(notes.steps, 0);
}

// The first byte comes in the turn in which the time for the handshake ends.
TEST_P(Opening, ItsTimeMayEndWhileItWaits) {
  Loop loop(options());
  SlowOpening::Notes notes{.limit = milliseconds(5)};
  Link link(loop, {}, &make_socket_pair);
  link.stream->set_transport(std::make_unique<SlowOpening>(notes));
  link.start();
  ASSERT_TRUE(loop.poll());  // nothing is there yet
  const TimePoint over = monotonic_now() + milliseconds(20);
  while (monotonic_now() < over) {
  }
  link.peer.write("h");
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes == 1; }));
  EXPECT_EQ(link.handler.error, Errc::timed_out);
  EXPECT_EQ(notes.steps, 0);
}

TEST_P(Opening, AnExceptionLeavesTheOthersWaiting) {
  Loop loop(options());
  SlowOpening::Notes notes{.throws = true};
  const auto links = start_many(loop, notes, 3);
  EXPECT_THROW(static_cast<void>(loop.run()), int);
  EXPECT_TRUE(
      run_bounded(loop, [&] { return links[1]->handler.opens + links[2]->handler.opens == 2; }));
}

TEST_P(Opening, MayOutliveItsLoop) {
  SlowOpening::Notes notes;
  std::vector<std::unique_ptr<Link>> links;
  {
    Loop loop(options());
    links = start_many(loop, notes, 2);
  }
  EXPECT_EQ(notes.steps, 0);
}

TEST_P(Opening, AFailureIsLoggedWithItsPeerForWhoLooks) {
  LogCapture log(LogLevel::debug);
  Loop loop(options());
  SlowOpening::Notes notes;
  Link link(loop);
  const std::string peer = get(link.stream->peer()).to_string();
  link.stream->set_transport(std::make_unique<SlowOpening>(notes));
  link.start();
  link.peer.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
  EXPECT_TRUE(log.contains("handshake with " + peer + " failed: "));
}

// ---- In a server ----

struct SlowServer {
  explicit SlowServer(Loop& loop, std::size_t waiting) {
    ServerLimits limits;
    limits.transports = &factory;
    limits.max_waiting_handshakes = waiting;
    server = get(Server<Echo>::listen(loop, Address::loopback(0), limits));
  }
  // Returns clients in the kernel's queue. If `talk`, each has sent its first byte.
  std::vector<Socket> connect(int count, bool talk) {
    std::vector<Socket> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(get(Socket::connect(server->addresses().at(0))));
      const std::byte hello{};
      if (!talk) continue;
      EXPECT_TRUE(Socket::send(clients.back().fd(), {&hello, 1}).ok());
    }
    return clients;
  }

  Factory factory;
  std::unique_ptr<Server<Echo>> server;
};

TEST_P(Opening, TheKernelKeepsConnectionsThatWouldOnlyWait) {
  Loop loop(options());
  SlowServer slow(loop, 4);
  const auto clients = slow.connect(20, true);
  EXPECT_TRUE(run_bounded(loop, [&] {
    const std::uint64_t waiting =
        slow.server->accepted() - static_cast<std::uint64_t>(slow.factory.notes.steps);
    EXPECT_LE(waiting, 4U);
    return slow.factory.notes.steps == 20;
  }));
  EXPECT_EQ(slow.server->accepted(), 20U);
}

TEST_P(Opening, ClientsThatSayNothingKeepNobodyOut) {
  Loop loop(options());
  SlowServer slow(loop, 4);
  const auto silent = slow.connect(20, false);
  EXPECT_TRUE(run_bounded(loop, [&] { return slow.server->accepted() == 20; }));
  const auto clients = slow.connect(1, true);
  EXPECT_TRUE(run_bounded(loop, [&] { return slow.factory.notes.steps == 1; }));
}

TEST_P(Opening, ADrainStillTakesThoseThatTheKernelKept) {
  Loop loop(options());
  SlowServer slow(loop, 2);
  auto clients = slow.connect(8, true);
  ASSERT_TRUE(loop.poll());
  EXPECT_LT(slow.server->accepted(), 8U);
  bool drained = false;
  slow.server->drain([&] { drained = true; });
  EXPECT_TRUE(run_bounded(loop, [&] { return drained; }));
  EXPECT_EQ(slow.server->accepted(), 8U);
  EXPECT_EQ(slow.factory.notes.steps, 8);
}

INSTANTIATE_TEST_SUITE_P(Backends, Opening, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
