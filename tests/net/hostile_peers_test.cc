// SPDX-License-Identifier: MIT
// Peers that send and leave at once, never read, flood or reset: mistakes that servers are known
// for. listener_test.cc covers accepting, stream_time_test.cc the lingering close.
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/net/server.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HostilePeers : public LoopTest {};

// This handler answers the first bytes of a body that it does not want, and closes.
class Refuser final : public StreamHandler {
 public:
  void on_data(Stream& stream, std::span<std::byte>) override {
    stream.write("no");
    stream.close(true);
  }
};

TEST_P(HostilePeers, AMegabyteAndAnEndInOneGoArriveWhole) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const std::string text = pattern(1000000);
  std::size_t sent = 0;
  EXPECT_TRUE(pump(loop, [&] {
    sent += link.peer.write(std::string_view(text).substr(sent));
    return sent == text.size();
  }));
  link.peer.fd.reset();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.got, text);
  EXPECT_EQ(link.handler.ends, 1);
  EXPECT_FALSE(link.handler.error);
}

TEST_P(HostilePeers, DataBeforeAResetIsDeliveredThenTheError) {
  Loop loop(options());
  Link link(loop);
  link.start();
  link.peer.write(std::string(100, 'x'));
  reset_on_close(link.peer.fd.get());
  link.peer.fd.reset();
  EXPECT_TRUE(run_to_close(loop, link));
  EXPECT_EQ(link.handler.got.size(), 100U);
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  EXPECT_EQ(link.handler.error, std::errc::connection_reset);
  EXPECT_EQ(link.handler.ends, 0);
}

TEST_P(HostilePeers, AHalfClosedClientGetsAllItsAnswers) {
  Loop loop(options());
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  Peer peer;
  peer.fd = get(Socket::connect(server->addresses()[0])).release();
  std::string questions;
  for (int i = 0; i < 50; ++i) questions += "question " + std::to_string(i) + "\n";
  peer.write(questions);
  ::shutdown(peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
  EXPECT_EQ(peer.got, questions);
  EXPECT_TRUE(peer.end);
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
}

TEST_P(HostilePeers, NoWriteEventsAfterTheQueueIsDrained) {
  Loop loop(options());
  Link link(loop);
  link.start();
  const std::string text = pattern(10000000);
  link.stream->write(text);
  ASSERT_GT(link.stream->queued(), 0U);
  std::size_t got = 0;
  EXPECT_TRUE(pump(loop, [&] {
    link.peer.read();
    got += link.peer.got.size();
    link.peer.got.clear();
    return got == text.size();
  }));
  EXPECT_LE(run_for(loop, milliseconds(100)), 4);
}

TEST_P(HostilePeers, ClientsThatLeaveInTheMiddleOfABodyLeaveNothingBehind) {
  Loop loop(options());
  const auto server = get(Server<Refuser>::listen(loop, Address::loopback(0)));
  const std::size_t before = FdGuard::open_descriptors().size();
  {
    std::vector<Peer> peers(50);
    for (Peer& peer : peers) {
      peer.fd = get(Socket::connect(server->addresses()[0])).release();
      peer.write(std::string(200000, 'b'));
    }
    EXPECT_TRUE(run_bounded(loop, [&] { return server->accepted() == peers.size(); }));
  }
  EXPECT_TRUE(run_bounded(
      loop, [&] { return FdGuard::open_descriptors().size() == before; }, seconds(6)));
  EXPECT_EQ(server->connections(), 0U);
}

TEST_P(HostilePeers, AFloodOnOneConnectionDelaysNobody) {
  Loop loop(options());
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  Peer flood, quiet;
  flood.fd = get(Socket::connect(server->addresses()[0])).release();
  quiet.fd = get(Socket::connect(server->addresses()[0])).release();
  const std::string block(1000000, 'f');
  for (int i = 1; i <= 30; ++i) {
    quiet.write("?");
    int turns = 0;
    while (quiet.got.size() < static_cast<std::size_t>(i) && turns < 100) {
      flood.write(block);
      flood.read();
      flood.got.clear();
      EXPECT_TRUE(loop.run_once(milliseconds(1)));
      quiet.read();
      ++turns;
    }
    EXPECT_LE(turns, 20) << "loopback delivers late at times, but the loop does not wait";
  }
  EXPECT_EQ(quiet.got.size(), 30U);
}

TEST_P(HostilePeers, APeerThatNeverReadsCostsBoundedMemory) {
  Loop loop(options());
  StreamOptions settings;
  Link link(loop, settings);
  link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  link.start();
  const std::string block(65536, 'x');
  std::size_t sent = 0, largest = 0;
  for (int quiet = 0; quiet < 50;) {
    const std::size_t count = link.peer.write(block);
    sent += count;
    quiet = count == 0 ? quiet + 1 : 0;
    EXPECT_TRUE(loop.run_once(milliseconds(1)));
    largest = std::max(largest, link.stream->queued());
    ASSERT_LT(sent, 96U << 20) << "the input must stop";
  }
  EXPECT_LT(largest, settings.high_water + 2 * 65536) << "at most what one read adds";
  EXPECT_EQ(link.handler.closes, 0);
  EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "and costs no time";
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() == sent; }))
      << "nothing is lost when it reads at last";
}

TEST_P(HostilePeers, FiveThousandWritesOfOneByte) {
  Loop loop(options());
  Link link(loop);
  const std::string text = pattern(5000);
  link.handler.when_data = [&](Stream& stream, std::string_view) {
    for (std::size_t i = 0; i < text.size(); ++i) stream.write(std::string_view(text).substr(i, 1));
  };
  link.start();
  link.peer.write("go");
  EXPECT_TRUE(pump(loop, [&] { return link.peer.read(), link.peer.got.size() >= text.size(); }));
  EXPECT_EQ(link.peer.got, text);
}

TEST_P(HostilePeers, MegabytesThroughASmallSendBuffer) {
  Loop loop(options());
  Link link(loop);
  const int small = 4096;
  ASSERT_EQ(::setsockopt(link.stream->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  link.start();
  const std::string text = pattern(1500000);
  link.stream->write(text);
  link.stream->close();
  link.peer.got.reserve(text.size());
  EXPECT_TRUE(pump(
      loop, [&] { return link.peer.read(), link.peer.over(); }, 3 * kLimit));
  EXPECT_TRUE(link.peer.end);
  EXPECT_TRUE(link.peer.got == text) << link.peer.got.size();
}

TEST_P(HostilePeers, FiveHundredConnectsAndResetsLeaveNoTrace) {
  Loop loop(options());
  LogCapture log;
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  const std::size_t before = FdGuard::open_descriptors().size();
  for (int i = 0; i < 500; ++i) {
    const Socket client = get(Socket::connect(server->addresses()[0]));
    Socket::reset_on_close(client.fd());
    if (i % 10 == 0) {
      EXPECT_TRUE(loop.poll());
    }
  }
  EXPECT_TRUE(
      run_bounded(loop, [&] { return server->accepted() == 500 && server->connections() == 0; }));
  EXPECT_EQ(FdGuard::open_descriptors().size(), before);
  EXPECT_TRUE(log.lines().empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, HostilePeers, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
