// SPDX-License-Identifier: MIT
#include "reactor/net/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/fd_guard.h"
#include "tests/support/pipes.h"
#include "tests/support/temporary_folder.h"

namespace reactor {
namespace {

class SocketTest : public ::testing::Test {
 protected:
  // Returns an unused path.
  std::string path(const char* name) {
    if (!folder_) folder_.emplace();
    return folder_->file(name);
  }

 private:
  FdGuard descriptors_;
  std::optional<TemporaryFolder> folder_;
};

void expect_private(int fd) {
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
}

Socket listening(const ListenOptions& options = {}) {
  return Socket::listen(Address::loopback(0), options).value();
}

std::span<std::byte> bytes(std::string& text) { return std::as_writable_bytes(std::span(text)); }

#if defined(TCP_NOTSENT_LOWAT)
TEST_F(SocketTest, TheLimitOfUnsentBytesIsInherited) {
  ListenOptions options;
  options.unsent_limit = 65536;
  const Socket listener = Socket::listen(Address::loopback(0), options).value();
  const Socket client = Socket::connect(listener.local().value()).value();
  const Socket server = Socket::accept(listener.fd()).value();
  EXPECT_EQ(socket_option(server.fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT), 65536);
}
#endif

TEST_F(SocketTest, ListensConnectsAndAccepts) {
  const Socket listener = listening();
  const Address address = listener.local().value();
  EXPECT_NE(address.port(), 0) << "the real port";
  const Socket client = Socket::connect(address).value();
  const Socket server = Socket::accept(listener.fd()).value();
  ASSERT_TRUE(server);
  for (const Socket* socket : {&listener, &client, &server}) expect_private(socket->fd());
  EXPECT_EQ(server.peer().value(), client.local().value());
  EXPECT_EQ(client.peer().value(), address);
  EXPECT_EQ(socket_option(server.fd(), IPPROTO_TCP, TCP_NODELAY), 1) << "inherited";
  EXPECT_EQ(socket_option(client.fd(), IPPROTO_TCP, TCP_NODELAY), 1);
}

TEST_F(SocketTest, AnEmptyQueueIsAnEmptySocket) {
  const Socket listener = listening();
  const auto nobody = Socket::accept(listener.fd());
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(*nobody);
}

TEST_F(SocketTest, ReadAndWriteStatesAreTold) {
  FdPair pair = make_socket_pair();
  std::string room(10, '\0');
  const IoResult nothing = Socket::receive(pair.near.get(), bytes(room));
  EXPECT_TRUE(nothing.would_block());
  EXPECT_FALSE(nothing.ok());
  EXPECT_FALSE(nothing.is_error());
  EXPECT_FALSE(nothing.error());
  std::string text = "hello";
  const IoResult sent = Socket::send(pair.far.get(), bytes(text));
  EXPECT_TRUE(sent.ok());
  EXPECT_EQ(sent.count(), 5U);
  const IoResult got = Socket::receive(pair.near.get(), bytes(room));
  EXPECT_EQ(got.count(), 5U);
  EXPECT_EQ(room.substr(0, 5), text);
  fill(pair.near.get());
  EXPECT_TRUE(Socket::send(pair.near.get(), bytes(text)).would_block());
  Socket::shutdown_write(pair.far.get());
  const IoResult end = Socket::receive(pair.near.get(), bytes(room));
  EXPECT_TRUE(end.end());
  EXPECT_FALSE(end.is_error());
  EXPECT_EQ(end.count(), 0U);
  pair.far.reset();
  const IoResult broken = Socket::send(pair.near.get(), bytes(text));
  EXPECT_TRUE(broken.is_error()) << "and no SIGPIPE";
  EXPECT_EQ(broken.error(), std::errc::broken_pipe);
}

TEST_F(SocketTest, AResetIsAnError) {
  FdPair pair = make_tcp_pair();
  Socket::reset_on_close(pair.far.get());
  pair.far.reset();
  std::string room(10, '\0');
  const IoResult result = Socket::receive(pair.near.get(), bytes(room));
  EXPECT_TRUE(result.is_error());
  EXPECT_EQ(result.error(), std::errc::connection_reset);
}

TEST_F(SocketTest, TakeErrorTellsOnce) {
  const int closed_port = [] { return static_cast<int>(listening().local().value().port()); }();
  const auto client = Socket::connect(Address::loopback(static_cast<std::uint16_t>(closed_port)));
  if (!client) {
    EXPECT_EQ(client.error(), std::errc::connection_refused);
    return;
  }
  EXPECT_EQ(Socket::take_error(client->fd()), std::errc::connection_refused);
  EXPECT_FALSE(Socket::take_error(client->fd()));
}

TEST_F(SocketTest, HowAConnectWentIsKnownThoughTheErrorWasTaken) {
  const Address closed = listening().local().value();
  for (const bool taken : {false, true}) {
    const auto client = Socket::connect(closed);
    if (!client) GTEST_SKIP() << "this system tells at once: " << client.error().message();
    if (taken) static_cast<void>(Socket::take_error(client->fd()));
    const std::error_code error = Socket::finish_connect(client->fd(), closed);
    EXPECT_TRUE(error) << taken;
    EXPECT_TRUE(taken || error == std::errc::connection_refused) << error.message();
  }
  const Socket listener = listening();
  const Address address = listener.local().value();
  const auto client = Socket::connect(address).value();
  for (int time = 0; time < 2; ++time) {
    EXPECT_FALSE(Socket::finish_connect(client.fd(), address)) << time;
  }
}

TEST_F(SocketTest, TheAddressIsFreeAgainAtOnce) {
  Address address = Address::loopback(0);
  for (int round = 0; round < 5; ++round) {
    const Socket listener = Socket::listen(address, {}).value();
    address = listener.local().value();
    const Socket client = Socket::connect(address).value();
    Socket server = Socket::accept(listener.fd()).value();
    server = Socket();  // this side closes first, so its port is in TIME_WAIT
  }
}

TEST_F(SocketTest, OneAddressTwiceIsInUseUnlessItIsShared) {
  const Socket first = listening();
  const Address address = first.local().value();
  EXPECT_EQ(Socket::listen(address, {}).error(), std::errc::address_in_use);
  ListenOptions shared;
  shared.reuse_port = true;
  const Socket one = listening(shared);
  EXPECT_TRUE(Socket::listen(one.local().value(), shared));
}

TEST_F(SocketTest, AWildcardTakesBothFamilies) {
  const auto listener = Socket::listen(Address::any(0), {});
  ASSERT_TRUE(listener);
  const std::uint16_t port = listener->local().value().port();
  EXPECT_TRUE(Socket::connect(Address::loopback(port)));
  ASSERT_TRUE(Socket::accept(listener->fd()).value());
}

TEST_F(SocketTest, AUnixPathThatADeadServerLeftIsReplaced) {
  const Address address = Address::unix_path(path("s")).value();
  { const Socket dead = Socket::listen(address, {}).value(); }
  EXPECT_TRUE(std::filesystem::exists(path("s")));
  const auto again = Socket::listen(address, {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_TRUE(Socket::connect(address));
}

TEST_F(SocketTest, AUnixPathOfALiveServerIsInUse) {
  const Address address = Address::unix_path(path("s")).value();
  const Socket live = Socket::listen(address, {}).value();
  EXPECT_EQ(Socket::listen(address, {}).error(), std::errc::address_in_use);
  EXPECT_TRUE(Socket::connect(address)) << "and still there";
}

TEST_F(SocketTest, AFileThatIsNoSocketIsNotTouched) {
  const std::string file = path("file");
  const UniqueFd made(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_EQ(Socket::listen(Address::unix_path(file).value(), {}).error(),
            std::errc::address_in_use);
  EXPECT_TRUE(std::filesystem::is_regular_file(file));
}

TEST_F(SocketTest, AUnixSocketsModeIsSet) {
  ListenOptions options;
  options.unix_mode = 0620;
  const Socket listener = Socket::listen(Address::unix_path(path("s")).value(), options).value();
  struct stat status {};
  ASSERT_EQ(::stat(path("s").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0620U);
}

TEST_F(SocketTest, AbstractNamesWork) {
  const std::string name = "reactor-test-" + std::to_string(::getpid());
  const Address address = Address::unix_abstract(name).value();
  const Address longer = Address::unix_abstract(name + std::string(1, '\0')).value();
  const Socket first = Socket::listen(address, {}).value();
  const auto second = Socket::listen(longer, {});
  ASSERT_TRUE(second) << "F11: another name, as its length counts";
  EXPECT_EQ(first.local().value(), address);
  EXPECT_EQ(first.local().value().to_string(), "unix:@" + name);
  const Socket client = Socket::connect(address).value();
  const Socket server = Socket::accept(first.fd()).value();
  ASSERT_TRUE(server);
  EXPECT_EQ(server.peer().value().to_string(), "unix:") << "the client has no name";
}

TEST_F(SocketTest, ErrorsOfTheSystemAreTold) {
  EXPECT_EQ(Socket::listen(Address::parse("192.0.2.1:0").value(), {}).error(),
            std::errc::address_not_available);
  EXPECT_EQ(Socket::connect(Address::unix_path(path("nobody")).value()).error(),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(Socket::accept(-1).error(), std::errc::bad_file_descriptor);
  EXPECT_FALSE(Socket::listen(Address(), {}));
}

TEST_F(SocketTest, AcceptErrorsAreToldApart) {
  for (const int number : {ECONNABORTED, EPROTO, EINTR, ENETDOWN, ENOPROTOOPT, EHOSTDOWN,
                           EHOSTUNREACH, ENETUNREACH, EPERM, ETIMEDOUT}) {
    EXPECT_EQ(classify_accept_error(system_error(number)), AcceptFailure::retry) << number;
  }
  for (const int number : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    EXPECT_EQ(classify_accept_error(system_error(number)), AcceptFailure::pause) << number;
  }
  for (const int number : {EBADF, EINVAL, ENOTSOCK}) {
    EXPECT_EQ(classify_accept_error(system_error(number)), AcceptFailure::fatal) << number;
  }
}

}  // namespace
}  // namespace reactor
