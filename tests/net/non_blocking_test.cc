// SPDX-License-Identifier: MIT
// In these tests, the application has opened a descriptor and left it blocking. Every class that
// takes such a descriptor makes it non-blocking, so that it can never block the loop.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "reactor/net/datagram/datagram.h"
#include "reactor/net/listener.h"
#include "reactor/net/server.h"
#include "reactor/process/child_process.h"
#include "reactor/process/pipe.h"
#include "tests/support/datagram_kit.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

class NonBlockingTest : public LoopTest {};

INSTANTIATE_TEST_SUITE_P(Backends, NonBlockingTest, every_backend(), BackendName());

bool blocks(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

FdPair make_blocking_pair(int type = SOCK_STREAM) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, type, 0, ends.data()), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

UniqueFd make_blocking_socket(int type, bool listens) {
  UniqueFd fd(::socket(AF_INET, type, 0));
  const Address address = Address::loopback(0);
  EXPECT_EQ(::bind(fd.get(), address.data(), address.size()), 0);
  EXPECT_TRUE(!listens || ::listen(fd.get(), 5) == 0);
  return fd;
}

TEST(NonBlockingSocket, IsWhatASocketMakesOfADescriptor) {
  FdPair pair = make_blocking_pair();
  const Socket socket(std::move(pair.near));
  EXPECT_FALSE(blocks(socket.fd()));
  const Socket kept = Socket::as_it_is(std::move(pair.far));
  EXPECT_TRUE(blocks(kept.fd()));
  EXPECT_FALSE(Socket(UniqueFd()));
}

TEST_P(NonBlockingTest, AStreamThatWritesMoreThanFits) {
  Loop loop(options());
  FdPair pair = make_blocking_pair();
  Recorder handler;
  const StreamOptions settings;
  Stream stream(loop, Socket(std::move(pair.near)), handler, settings);
  stream.start();
  stream.write(std::string(1 << 20, 'x'));
  EXPECT_GT(stream.queued(), 0U) << "the rest waits in the queue, and not in send(2)";
}

TEST_P(NonBlockingTest, AConnectionThatIsTakenOver) {
  Loop loop(options());
  FdPair pair = make_blocking_pair();
  const auto server = get(Server<Echo>::listen(loop, Address::loopback(0)));
  const int number = pair.near.get();
  ASSERT_TRUE(server->adopt_connection(Socket(std::move(pair.near)), {}));
  EXPECT_FALSE(blocks(number));
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(server->adopt_connection(Socket(), {}).error(), std::errc::bad_file_descriptor);
}

TEST_P(NonBlockingTest, AServersListener) {
  Loop loop(options());
  UniqueFd fd = make_blocking_socket(SOCK_STREAM, true);
  std::vector<Socket> sockets;
  sockets.emplace_back(std::move(fd));
  const auto server = get(Server<Echo>::adopt(loop, std::move(sockets), ServerLimits{}));
  server->for_each([](Stream&, Echo&) {});
  const UniqueFd client = get(Socket::connect(server->addresses()[0])).release();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->accepted() == 1; }))
      << "the accept behind the last connection does not wait";
}

TEST_P(NonBlockingTest, ADatagramSocket) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto socket =
      get(Datagram::adopt(loop, Socket(make_blocking_socket(SOCK_DGRAM, false)), handler));
  EXPECT_FALSE(blocks(socket->fd()));
}

TEST_P(NonBlockingTest, APipeOfOurOwn) {
  Loop loop(options());
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd far(ends[0]);
  Recorder handler;
  const StreamOptions settings;
  const auto stream = get(open_pipe(loop, UniqueFd(ends[1]), handler, settings));
  stream->start();
  stream->write(std::string(1 << 20, 'x'));
  EXPECT_GT(stream->queued(), 0U);
}

TEST_P(NonBlockingTest, TheInputOfAProcessThatDoesNotRead) {
  Loop loop(options());
  Recorder handler;
  ProcessOptions settings;
  settings.arguments = {"sleep", "10"};
  settings.input = Redirect::pipe(handler);
  const auto process = get(Process::spawn(loop, settings, {}));
  EXPECT_TRUE(poll_until(loop, [&] { return handler.opens == 1; }));
  process->input()->write(std::string(1 << 20, 'x'));
  EXPECT_GT(process->input()->queued(), 0U);
}

TEST_P(NonBlockingTest, ASharedPipeKeepsItsFlagsAndWaitsForNobody) {
  Loop loop(options());
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd far(ends[0]), near(ends[1]);
  Recorder handler;
  const StreamOptions settings;
  const auto stream = get(open_shared_pipe(loop, near.get(), handler, settings));
  stream->start();
  stream->write(std::string(1 << 20, 'x'));
  EXPECT_GT(stream->queued(), 0U);
  EXPECT_TRUE(blocks(near.get()));
}

}  // namespace
}  // namespace reactor
