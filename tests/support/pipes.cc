// SPDX-License-Identifier: MIT
#include "tests/support/pipes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace reactor {
namespace {

UniqueFd prepared(int fd) {
  EXPECT_GE(fd, 0) << "errno " << errno;
  EXPECT_EQ(::fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  EXPECT_EQ(::fcntl(fd, F_SETFD, FD_CLOEXEC), 0);
  return UniqueFd(fd);
}

}  // namespace

FdPair make_pipe() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::pipe(ends.data()), 0);
  return {prepared(ends[0]), prepared(ends[1])};
}

FdPair make_socket_pair() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  return {prepared(ends[0]), prepared(ends[1])};
}

FdPair make_tcp_pair() {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(listener.get(), generic, size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), generic, &size), 0);
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(client, generic, size), 0);
  const int server = ::accept(listener.get(), nullptr, nullptr);
  return {prepared(server), prepared(client)};
}

void write_text(int fd, std::string_view text) {
  ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()))
      << "errno " << errno;
}

std::string read_text(int fd, std::size_t limit) {
  std::string text(limit, '\0');
  const ssize_t count = ::read(fd, text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

std::size_t fill(int fd) {
  const std::string block(65536, 'x');
  std::size_t total = 0;
  for (std::size_t size = block.size(); size > 0; size /= 2) {
    for (;;) {
      const ssize_t count = ::write(fd, block.data(), size);
      if (count <= 0) break;
      total += static_cast<std::size_t>(count);
    }
  }
  return total;
}

int socket_option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0) << name;
  return value;
}

void reset_on_close(int fd) {
  const linger at_once{1, 0};
  EXPECT_EQ(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
}

UniqueFd move_to(UniqueFd fd, int number) {
  if (fd.get() == number) return fd;
  EXPECT_EQ(::fcntl(number, F_GETFD), -1) << number << " is taken";
  EXPECT_EQ(::dup2(fd.get(), number), number) << "errno " << errno;
  EXPECT_EQ(::fcntl(number, F_SETFD, FD_CLOEXEC), 0);
  return UniqueFd(number);
}

FdPair pipe_at(int number) {
  FdPair pipe = make_pipe();
  if (pipe.far.get() == number) pipe.far.reset(::fcntl(number, F_DUPFD_CLOEXEC, number + 1));
  pipe.near = move_to(std::move(pipe.near), number);
  return pipe;
}

}  // namespace reactor
