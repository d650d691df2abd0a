// SPDX-License-Identifier: MIT
#include "reactor/net/tcp_options.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>

#include "reactor/base/error.h"
#include "reactor/net/socket.h"
#include "tests/support/fd_guard.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TcpOptionsTest : public ::testing::Test {
  FdGuard descriptors_;
};

TEST_F(TcpOptionsTest, NothingIsSetByDefault) {
  const FdPair pair = make_tcp_pair();
  const int before = socket_option(pair.near.get(), IPPROTO_TCP, TCP_NODELAY);
  EXPECT_TRUE(TcpOptions{}.apply(pair.near.get()));
  EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_NODELAY), before);
  EXPECT_EQ(socket_option(pair.near.get(), SOL_SOCKET, SO_KEEPALIVE), 0);
}

TEST_F(TcpOptionsTest, NoDelayOnAndOff) {
  const FdPair pair = make_tcp_pair();
  TcpOptions options;
  for (const bool on : {false, true}) {
    options.no_delay = on;
    EXPECT_TRUE(options.apply(pair.near.get()));
    EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_NODELAY) != 0, on);
  }
}

TEST_F(TcpOptionsTest, KeepAliveOnAndOff) {
  const FdPair pair = make_tcp_pair();
  TcpOptions options;
  options.keep_alive = KeepAlive{true, seconds(31), seconds(7), 4};
  ASSERT_TRUE(options.apply(pair.near.get()));
  EXPECT_NE(socket_option(pair.near.get(), SOL_SOCKET, SO_KEEPALIVE), 0);
#if defined(TCP_KEEPIDLE)
  EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_KEEPIDLE), 31);
#endif
  EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_KEEPINTVL), 7);
  EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_KEEPCNT), 4);
  options.keep_alive = KeepAlive{false, seconds(0), seconds(0), 0};
  EXPECT_TRUE(options.apply(pair.near.get())) << "what is off needs no figures";
  EXPECT_EQ(socket_option(pair.near.get(), SOL_SOCKET, SO_KEEPALIVE), 0);
}

TEST_F(TcpOptionsTest, BadFiguresAreErrors) {
  const FdPair pair = make_tcp_pair();
  TcpOptions options;
  options.keep_alive = KeepAlive{true, seconds(0), seconds(7), 4};
  EXPECT_EQ(options.apply(pair.near.get()).error(), std::errc::invalid_argument);
  EXPECT_EQ(options.apply(-1).error(), std::errc::bad_file_descriptor);
}

#if defined(TCP_USER_TIMEOUT)
TEST_F(TcpOptionsTest, UserTimeout) {
  const FdPair pair = make_tcp_pair();
  TcpOptions options;
  options.user_timeout = milliseconds(12345);
  EXPECT_TRUE(options.apply(pair.near.get()));
  EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
  for (const std::int64_t far : {std::int64_t{1} << 32, (std::int64_t{1} << 32) + 1}) {
    options.user_timeout = milliseconds(far);
    EXPECT_EQ(options.apply(pair.near.get()).error(), std::errc::invalid_argument) << "not 0, or 1";
  }
}
#endif

#if defined(TCP_QUICKACK)
TEST_F(TcpOptionsTest, QuickAck) {
  const FdPair pair = make_tcp_pair();
  TcpOptions options;
  for (const bool on : {false, true}) {
    options.quick_ack = on;
    EXPECT_TRUE(options.apply(pair.near.get()));
    EXPECT_EQ(socket_option(pair.near.get(), IPPROTO_TCP, TCP_QUICKACK) != 0, on);
  }
}
#endif

#if defined(TCP_CONGESTION)
TEST_F(TcpOptionsTest, CongestionControlByName) {
  const FdPair pair = make_tcp_pair();
  std::array<char, 32> name{};
  socklen_t length = name.size();
  TcpOptions options;
  options.congestion_control = "reno";  // every kernel has this one
  ASSERT_TRUE(options.apply(pair.near.get()));
  ASSERT_EQ(::getsockopt(pair.near.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &length), 0);
  EXPECT_STREQ(name.data(), "reno");
  options.congestion_control = std::string_view("reno\0x", 6);
  EXPECT_EQ(options.apply(pair.near.get()).error(), std::errc::invalid_argument);
  options.congestion_control = "no-such-thing";
  EXPECT_EQ(options.apply(pair.near.get()).error(), std::errc::no_such_file_or_directory);
}
#endif

#if defined(TCP_FASTOPEN_CONNECT)
TEST_F(TcpOptionsTest, FastOpenOfBothSides) {
  ListenOptions listening;
  listening.fast_open = 17;
  const Socket listener = Socket::listen(Address::loopback(0), listening).value();
  EXPECT_EQ(socket_option(listener.fd(), IPPROTO_TCP, TCP_FASTOPEN), 17);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
  TcpOptions options;
  options.fast_open = true;
  const Result<> result = options.apply(client.get());
  if (!result) GTEST_SKIP() << "forbidden here: " << result.error().message();
  EXPECT_NE(socket_option(client.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 0);
}
#endif

#if defined(__linux__)
TEST_F(TcpOptionsTest, FastOpenThatIsRefusedIsListensError) {
  ListenOptions listening;
  listening.fast_open = -1;
  const Address address = Socket::listen(Address::loopback(0), {}).value().local().value();
  EXPECT_EQ(Socket::listen(address, listening).error(), std::errc::invalid_argument);
  Socket plain = Socket::listen(address, {}).value();
  const int number = plain.release().release();
  EXPECT_EQ(Socket::adopt_listening(number, listening).error(), std::errc::invalid_argument);
  listening.fast_open = 3;
  const Socket adopted = Socket::adopt_listening(number, listening).value();
  EXPECT_EQ(socket_option(adopted.fd(), IPPROTO_TCP, TCP_FASTOPEN), 3);
}
#endif

TEST_F(TcpOptionsTest, AcceptedConnectionsInheritThem) {
  ListenOptions listening;
  listening.tcp.no_delay = false;
  listening.tcp.keep_alive = KeepAlive{};
  const Socket listener = Socket::listen(Address::loopback(0), listening).value();
  const Socket client = Socket::connect(listener.local().value()).value();
  Socket accepted;
  for (int i = 0; i < 1000 && !accepted; ++i) accepted = Socket::accept(listener.fd()).value();
  ASSERT_TRUE(accepted);
  EXPECT_EQ(socket_option(accepted.fd(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_NE(socket_option(accepted.fd(), SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_EQ(socket_option(accepted.fd(), IPPROTO_TCP, TCP_KEEPCNT), KeepAlive{}.count);
}

TEST_F(TcpOptionsTest, ABadOneIsListensError) {
  ListenOptions listening;
  listening.tcp.keep_alive = KeepAlive{true, seconds(0), seconds(1), 1};
  EXPECT_EQ(Socket::listen(Address::loopback(0), listening).error(), std::errc::invalid_argument);
}

TEST_F(TcpOptionsTest, AUnixSocketHasNone) {
  const FdPair pair = make_socket_pair();
  TcpOptions options;
  options.no_delay = true;
  EXPECT_EQ(options.apply(pair.near.get()).error(), Errc::not_supported);
}

}  // namespace
}  // namespace reactor
