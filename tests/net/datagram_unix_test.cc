// SPDX-License-Identifier: MIT
// These tests cover datagrams over unix sockets: names, files, and sockets that several receivers
// share.
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "reactor/net/fd_passing.h"
#include "tests/support/datagram_kit.h"
#include "tests/support/fd_guard.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class UnixDatagramTest : public LoopTest {};

#if defined(__linux__)
TEST_P(UnixDatagramTest, AClientWithoutANameIsGivenOne) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder echo, handler;
  echo.echoes = true;
  const auto server = get(Datagram::bind(loop, folder.socket("s"), echo));
  const auto client = get(Datagram::connect(loop, server->address(), handler));
  client->send("ping");
  EXPECT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
}
#endif

// A datagram wakes every receiver that shares the socket, and all but one find nothing. A receiver
// that finds nothing must not discard the next datagram. That could only happen if the next one
// came at this very moment. So the test sends very many, and after each it waits until all
// receivers have looked.
TEST_P(UnixDatagramTest, ASharedSocketLosesNothing) {
  constexpr std::size_t kCount = 10000;
  Loop loop(options());
  const TemporaryFolder folder;
  const Address at = folder.socket("s");
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  ASSERT_EQ(::bind(fd.get(), at.data(), at.size()), 0);
  DatagramRecorder handler;
  std::vector<std::unique_ptr<Datagram>> sharers;
  for (int i = 0; i < 8; ++i) {
    sharers.push_back(get(Datagram::adopt(loop, Socket(UniqueFd(::dup(fd.get()))), handler)));
  }
  std::atomic<bool> done{false};
  std::thread sender([&] {
    const UniqueFd peer(::socket(AF_UNIX, SOCK_DGRAM, 0));
    for (std::size_t i = 0; i < kCount; ++i) {
      EXPECT_EQ(::sendto(peer.get(), "x", 1, 0, at.data(), at.size()), 1);
      const TimePoint next = monotonic_now() + std::chrono::microseconds(3);
      while (monotonic_now() < next) {
      }
    }
    done = true;
  });
  while (!done) static_cast<void>(loop.run_once(milliseconds(1)).has_value());
  sender.join();
  EXPECT_TRUE(run_bounded(loop, [&] { return handler.got.size() == kCount; }));
}

// A peer sends a descriptor that the receiver does not accept.
TEST_P(UnixDatagramTest, DescriptorsThatCameAreClosedAndTold) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  std::vector<bool> cut;
  handler.when_datagram = [&](Datagram&, const Message& message) {
    cut.push_back(message.control_truncated());
  };
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler));
  const DatagramPeer peer(folder.socket("c"));
  const Address to = server->address();
  ASSERT_EQ(::connect(peer.fd(), to.data(), to.size()), 0);
  const auto before = FdGuard::open_descriptors();
  for (const int descriptor : {peer.fd(), -1}) {
    ASSERT_TRUE(send_with_descriptor(peer.fd(), std::as_bytes(std::span("x", 1)), descriptor).ok());
  }
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() == 2; }));
  EXPECT_EQ(cut, (std::vector{true, false}));
  EXPECT_EQ(server->stats().control_truncated, 1U);
  EXPECT_EQ(FdGuard::open_descriptors(), before);
}

TEST_P(UnixDatagramTest, AStaleFileIsReplacedAndALiveOneNever) {
  const TemporaryFolder folder;
  const Address address = folder.socket("s");
  { DatagramPeer dead(address); }
  ASSERT_TRUE(std::filesystem::exists(folder.file("s")));
  Loop loop(options());
  DatagramRecorder handler;
  DatagramOptions settings;
  settings.unix_mode = 0600;
  auto first = get(Datagram::bind(loop, address, handler, settings));
  struct stat status {};
  EXPECT_EQ(::stat(folder.file("s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(Datagram::bind(loop, address, handler).error(), std::errc::address_in_use);
  std::filesystem::remove(folder.file("s"));
  const auto second = get(Datagram::bind(loop, address, handler));
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(folder.file("s"))) << "it is another one's by now";
}

INSTANTIATE_TEST_SUITE_P(Backends, UnixDatagramTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
