// SPDX-License-Identifier: MIT
// A listener that a worker has made deaf is mended in place if that is enough.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "reactor/prefork/internal/listener_table.h"
#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"

namespace reactor::prefork {
namespace {

struct Mendable {
  const char* name;
  void (*act)(int listener);
};

const Mendable kMendables[] = {
    {"shut down", [](int fd) { ::shutdown(fd, SHUT_RD); }},
    {"blocking", [](int fd) { EXPECT_EQ(::fcntl(fd, F_SETFL, 0), 0); }},
#if defined(__linux__)
    {"a filter", [](int fd) { EXPECT_TRUE(Socket::refuse_new(fd)); }},
    {"no backlog", [](int fd) { EXPECT_EQ(::listen(fd, 0), 0); }},
#endif
};

class ListenerTableMendTest : public ::testing::Test {
 protected:
  static ino_t inode(const Socket& socket) {
    struct stat status {};
    EXPECT_EQ(::fstat(socket.fd(), &status), 0);
    return status.st_ino;
  }
  // Checks that the only listener is mended, and not replaced by a new one.
  void mends(const Bind& bind, const Mendable& harm) {
    const LogCapture log;
    Options options;
    options.addresses = {bind};
    options.workers = 1;
    options.reuse_port = false;
    ListenerTable::Failure failure;
    Inheritance none;
    ListenerTable table;
    ASSERT_TRUE(table.open(options, none, failure));
    ASSERT_EQ(table.mend(), 0U);
    const std::vector<Socket> copies = table.listeners_of(0).value();
    const Socket& copy = copies.front();
    harm.act(copy.fd());
    EXPECT_EQ(table.mend(), 1U);
    EXPECT_EQ(table.mend(), 0U);
    EXPECT_FALSE(log.contains("can't be opened again"));
    const std::vector<Socket> now = table.listeners_of(0).value();
    EXPECT_EQ(inode(now.front()), inode(copy));
    const Socket client = Socket::connect(table.addresses()[0].address).value();
    pollfd wait{now.front().fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
    EXPECT_TRUE(Socket::accept(now.front().fd()).value());
  }

 private:
  FdGuard guard_;
};

// Only the process that passed this listener could make a new one.
TEST_F(ListenerTableMendTest, AnInheritedListener) {
  for (const Mendable& harm : kMendables) {
    SCOPED_TRACE(harm.name);
    Socket made = Socket::listen(Address::loopback(0), {}).value();
    mends(InheritedSocket{made.release().release()}, harm);
  }
}

// A new listener would lose the clients that wait in the queue of the old one.
TEST_F(ListenerTableMendTest, AListenerOfOurOwn) {
  for (const Mendable& harm : kMendables) {
    SCOPED_TRACE(harm.name);
    mends(Address::loopback(0), harm);
  }
}

}  // namespace
}  // namespace reactor::prefork
