// SPDX-License-Identifier: MIT
#include "reactor/base/write_line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#if defined(__linux__)
#include <sys/eventfd.h>
#endif
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "reactor/base/unique_fd.h"
#include "tests/support/fork.h"

namespace reactor {
namespace {

// Returns a TCP connection whose ends both block. Nobody reads from it.
std::array<UniqueFd, 2> tcp_pair() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener.get(), name, length), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), name, &length), 0);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(::connect(client.get(), name, length), 0);
  return {std::move(client), UniqueFd(::accept(listener.get(), nullptr, nullptr))};
}

// Writes lines until one does not fit. Returns 0 if write_line() gave EAGAIN for this line. It does
// so in a child, because a write that blocks would never return.
int fill(int fd) {
  const std::string line = std::string(kLongestLine - 1, '.') + "\n";
  return wait_for_child(spawn_child([&] {
    ::alarm(20);
    for (int i = 0; i < 100'000; ++i) {
      if (const int error = write_line(fd, line)) return error == EAGAIN ? 0 : 1;
    }
    return 2;
  }));
}

TEST(WriteLineFork, NeverWaitsForASocketThatBlocks) {
  const std::array<UniqueFd, 2> pair = tcp_pair();
  EXPECT_EQ(fill(pair[0].get()), 0);
}

TEST(WriteLineFork, NeverWaitsForAPipeThatBlocks) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  EXPECT_EQ(fill(writer.get()), 0);
}

#if defined(__linux__)
// An eventfd is neither a socket nor a pipe. At this value it has no room for another number.
TEST(WriteLineFork, NeverWaitsForAnotherKindOfFileThatBlocks) {
  const UniqueFd file(::eventfd(0, 0));
  const std::uint64_t full = UINT64_MAX - 1;
  ASSERT_EQ(::write(file.get(), &full, sizeof(full)), 8);
  EXPECT_EQ(wait_for_child(spawn_child([&] {
              ::alarm(20);
              return write_line(file.get(), "12345678") == EAGAIN ? 0 : 1;
            })),
            0);
}
#endif

TEST(WriteLineFork, ASocketWithoutAPeerIsAnErrorAndNoSignal) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  const UniqueFd writer(ends[1]);
  UniqueFd(ends[0]).reset();
  errno = ENOENT;
#if defined(MSG_NOSIGNAL)
  EXPECT_EQ(write_line(writer.get(), "x\n"), EPIPE);
#endif
  EXPECT_EQ(write_line(-1, "x\n"), EBADF);
  EXPECT_EQ(errno, ENOENT) << "is kept";
}

}  // namespace
}  // namespace reactor
