// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/system/close_apart.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <utility>

#include "reactor/net/fd_passing.h"
#include "reactor/net/socket.h"
#include "tests/prefork/lingering.h"
#include "tests/support/fd_guard.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

constexpr Duration kAtOnce = std::chrono::seconds(10);  // far less than the hour of Lingering

std::vector<UniqueFd> one(UniqueFd socket) {
  std::vector<UniqueFd> sockets;
  sockets.push_back(std::move(socket));
  return sockets;
}

TEST(CloseApartFork, ASocketThatLingersHoldsNobodyUp) {
  const FdGuard guard;
  Lingering lingering;
  const TimePoint start = monotonic_now();
  close_apart(one(std::move(lingering.socket)));
  EXPECT_LT(monotonic_now() - start, kAtOnce);
}

TEST(CloseApartFork, NorDoesOneThatAClientSentToAUnixListener) {
  const TemporaryFolder folder;
  const FdGuard guard;
  Socket listener = Socket::listen(folder.socket(), {}).value();
  const Socket client = Socket::connect(folder.socket()).value();
  Lingering lingering;
  const std::array<std::byte, 1> byte{};
  ASSERT_TRUE(send_with_descriptor(client.fd(), byte, lingering.socket.get()).ok());
  const TimePoint start = monotonic_now();
  lingering.socket.reset();  // the queue holds another copy
  close_apart(one(listener.release()));
  EXPECT_LT(monotonic_now() - start, kAtOnce);
}

TEST(CloseApartFork, ClosesInThisProcessToo) {
  const FdGuard guard;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  const UniqueFd peer(ends[1]);
  close_apart(one(UniqueFd(ends[0])));
  char byte = 0;
  EXPECT_EQ(::read(peer.get(), &byte, 1), 0) << "nobody has the other end any more";
}

// No pipe can be made, so no child can close the sockets. They stay open until this process ends,
// which is better than an hour of waiting.
TEST(CloseApartFork, LeavesThemOpenIfThereCanBeNoChild) {
  const FdGuard guard;
  Lingering lingering;
  const int number = lingering.socket.get();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  close_apart(one(std::move(lingering.socket)));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  lingering.socket.reset(number);
  const linger off{0, 0};
  EXPECT_EQ(::setsockopt(number, SOL_SOCKET, SO_LINGER, &off, sizeof off), 0) << "it is open";
}

}  // namespace
}  // namespace reactor::prefork
