// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/listener_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"
#include "tests/support/pipes.h"
#include "tests/support/run.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

class ListenerTableTest : public ::testing::Test {
 protected:
  ListenerTableTest() {
    options_.addresses = {Address::loopback(0)};
    options_.workers = 4;
  }

  // Returns the inodes of the sockets that the workers get for the address at `index`.
  static std::set<ino_t> inodes(const ListenerTable& table, unsigned workers,
                                std::size_t index = 0) {
    std::set<ino_t> result;
    for (unsigned slot = 0; slot < workers; ++slot) {
      const std::vector<Socket> sockets = table.listeners_of(slot).value();
      struct stat status {};
      EXPECT_EQ(::fstat(sockets.at(index).fd(), &status), 0);
      result.insert(status.st_ino);
    }
    return result;
  }

 private:
  FdGuard descriptors_;

 protected:
  Options options_;
  ListenerTable::Failure failure_;
  Inheritance none_;
};

TEST_F(ListenerTableTest, OneSocketPerSlotOnOnePort) {
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  ASSERT_EQ(table.addresses().size(), 1U);
  EXPECT_NE(table.addresses()[0].address.port(), 0);
  EXPECT_EQ(inodes(table, 4).size(), 4U);
  for (unsigned slot = 0; slot < 4; ++slot) {
    const std::vector<Socket> sockets = table.listeners_of(slot).value();
    EXPECT_EQ(sockets.at(0).local().value(), table.addresses()[0].address);
  }
}

TEST_F(ListenerTableTest, OneForAllWhereItIsSwitchedOff) {
  options_.reuse_port = false;
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  EXPECT_EQ(inodes(table, 4).size(), 1U);
}

// A socket that is left would get a part of the connections, and no worker would accept them.
TEST_F(ListenerTableTest, ASlotThatCannotBeAddedLeavesNoSocket) {
  options_.addresses.push_back(Address::loopback(0));
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  const auto before = FdGuard::open_descriptors();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const UniqueFd lowest(::dup(STDERR_FILENO));
  const rlimit one_more{static_cast<rlim_t>(lowest.get()) + 2, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &one_more), 0);
  EXPECT_EQ(table.grow(5), std::errc::too_many_files_open);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  auto after = FdGuard::open_descriptors();
  after.erase(lowest.get());
  EXPECT_EQ(after, before);
  EXPECT_FALSE(table.grow(5));
  EXPECT_EQ(inodes(table, 5, 0).size(), 5U);
  EXPECT_EQ(inodes(table, 5, 1).size(), 5U);
}

TEST_F(ListenerTableTest, UnixSocketsAreShared) {
  const TemporaryFolder folder;
  options_.addresses.push_back(folder.socket());
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  EXPECT_EQ(inodes(table, 4, 0).size(), 4U);
  EXPECT_EQ(inodes(table, 4, 1).size(), 1U);
}

TEST_F(ListenerTableTest, WhatIsSomebodyElsesStaysWithItsAddress) {
  const TemporaryFolder folder;
  Socket made = Socket::listen(Address::loopback(0), {}).value();
  const Address address = made.local().value();
  options_.addresses = {folder.socket(), InheritedSocket{made.release().release()}};
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  EXPECT_EQ(table.addresses(), (std::vector<Endpoint>{folder.socket(), address}));
  table.release_own().clear();
  EXPECT_EQ(table.addresses(), std::vector<Endpoint>{address});
}

TEST_F(ListenerTableTest, APortInUseIsRefusedAlsoWithReusePort) {
  for (const bool reuse : {false, true}) {
    options_.listen.reuse_port = reuse;
    const Socket other = Socket::listen(Address::loopback(0), options_.listen).value();
    options_.addresses = {Address::loopback(0), other.local().value()};
    ListenerTable table;
    EXPECT_FALSE(table.open(options_, none_, failure_));
    EXPECT_EQ(failure_.error, std::errc::address_in_use);
    EXPECT_EQ(to_string(failure_.bind), to_string(options_.addresses[1]));
  }
}

// Two programs may start at the same moment. If they shared the port, each would get half of the
// connections.
TEST_F(ListenerTableTest, NoTwoHaveOnePortHoweverTheyRace) {
  for (int round = 0; round < 200; ++round) {
    options_.addresses = {Socket::listen(Address::loopback(0), {}).value().local().value()};
    std::array<ListenerTable, 2> rivals;
    std::array<bool, 2> opened{};
    std::atomic<int> waiting = 2;
    const auto open = [&](std::size_t rival) {
      ListenerTable::Failure failure;
      for (--waiting; waiting > 0;) std::this_thread::yield();
      opened[rival] = rivals[rival].open(options_, none_, failure);
    };
    std::thread other(open, 0);
    open(1);
    other.join();
    ASSERT_FALSE(opened[0] && opened[1]) << "in round " << round;
  }
}

// ---- A socket that the parent process left open ----

#if defined(__linux__)
// It stays as it was for the parent process, whether this program starts or not.
TEST_F(ListenerTableTest, AnInheritedSocketIsSharedWithOthersOnlyWhileThisProgramRuns) {
  const Socket made = Socket::listen(Address::loopback(0), {}).value();
  for (const bool starts : {true, false}) {
    options_.addresses = {InheritedSocket{::dup(made.fd())}};
    if (!starts) options_.addresses.push_back(made.local().value());  // in use
    ListenerTable table;
    EXPECT_EQ(table.open(options_, none_, failure_), starts);
    EXPECT_TRUE(Socket::is_balanced(made.fd()));
    static_cast<void>(table.release_all());
    EXPECT_FALSE(Socket::is_balanced(made.fd()));
  }
}

// With one worker no socket has to join it at first, but TTIN may add a worker.
TEST_F(ListenerTableTest, AnInheritedSocketOfAnotherUserIsSharedByAllWorkers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  Socket made = Socket::listen(Address::loopback(0), {}).value();
  ASSERT_EQ(::seteuid(54321), 0);
  options_.addresses = {InheritedSocket{made.release().release()}};
  options_.workers = 1;
  {
    ListenerTable table;
    EXPECT_TRUE(table.open(options_, none_, failure_));
    const std::error_code error = table.grow(2);
    EXPECT_FALSE(error) << error.message();
    if (!error) {
      EXPECT_EQ(inodes(table, 2).size(), 1U);
    }
  }
  ASSERT_EQ(::seteuid(0), 0);
}

// The options of this program are not those of the inherited socket.
TEST_F(ListenerTableTest, SocketsThatJoinAnInheritedOneTakeTheSameAddresses) {
  ListenOptions only;
  only.v6_only = true;
  Result<Socket> made = Socket::listen(Address::parse("[::]:0").value(), only);
  if (!made) GTEST_SKIP() << made.error().message();
  options_.addresses = {InheritedSocket{made->release().release()}};
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  ASSERT_FALSE(table.grow(5));
  for (unsigned slot = 0; slot < 5; ++slot) {
    EXPECT_NE(socket_option(table.listener(slot, 0), IPPROTO_IPV6, IPV6_V6ONLY), 0);
  }
}
#endif

// ---- A worker that makes the listeners deaf ----

struct Deafening {
  const char* name;
  void (*act)(int listener);
};

void set(int fd, int level, int name, int value) {
  EXPECT_EQ(::setsockopt(fd, level, name, &value, sizeof value), 0) << name;
}

const Deafening kDeafenings[] = {
    {"shut down", [](int fd) { ::shutdown(fd, SHUT_RD); }},
#if defined(__linux__)
    {"a filter", [](int fd) { EXPECT_TRUE(Socket::refuse_new(fd)); }},
    {"a filter that is locked",
     [](int fd) {
       EXPECT_TRUE(Socket::refuse_new(fd));
       set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
     }},
    {"shut down with such a filter",
     [](int fd) {
       EXPECT_TRUE(Socket::refuse_new(fd));
       set(fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
       ::shutdown(fd, SHUT_RD);
     }},
    {"no backlog", [](int fd) { EXPECT_EQ(::listen(fd, 0), 0); }},
    {"only neighbours", [](int fd) { set(fd, IPPROTO_IP, IP_MINTTL, 255); }},
    {"connected to somebody",
     [](int fd) {
       const Socket other = Socket::listen(Address::loopback(0), {}).value();
       const Address address = other.local().value();
       ::shutdown(fd, SHUT_RD);
       EXPECT_TRUE(::connect(fd, address.data(), address.size()) == 0 || errno == EINPROGRESS);
     }},
#endif
    {"blocking", [](int fd) { EXPECT_EQ(::fcntl(fd, F_SETFL, 0), 0); }},
};

bool is_served(const ListenerTable& table, unsigned workers, const Address& address) {
  Socket client = Socket::connect(address).value();
  std::vector<pollfd> wait;
  for (unsigned slot = 0; slot < workers; ++slot) {
    const int own = table.listener(slot, 0);
    if (own >= 0) wait.push_back({own, POLLIN, 0});
  }
  std::vector<Socket> shared;
  if (wait.empty()) {
    shared = table.listeners_of(0).value();
    wait.push_back({shared.front().fd(), POLLIN, 0});
  }
  if (::poll(wait.data(), wait.size(), 2000) < 1) return false;
  for (const pollfd& each : wait) {
    if (each.revents != 0 && Socket::accept(each.fd)) return true;
  }
  return false;
}

TEST_F(ListenerTableTest, AListenerThatWasMadeDeafHearsAgain) {
  for (const bool balanced : {true, false}) {
    options_.reuse_port = balanced;
    for (const Deafening& deafening : kDeafenings) {
      SCOPED_TRACE(std::string(deafening.name) + (balanced ? ", one of many" : ", the only one"));
      ListenerTable table;
      ASSERT_TRUE(table.open(options_, none_, failure_));
      const Address address = table.addresses()[0].address;
      ASSERT_EQ(table.mend(), 0U);
      {
        const std::vector<Socket> evil = table.listeners_of(2).value();
        deafening.act(evil.front().fd());
        EXPECT_EQ(table.mend(), 1U);
      }
      EXPECT_EQ(table.mend(), 0U) << "once";
      for (int i = 0; i < 8; ++i) EXPECT_TRUE(is_served(table, 4, address));
    }
  }
}

// If a worker makes a shared listener blocking, a sibling that looks for one more connection blocks
// in accept(). mend() must wake it.
TEST_F(ListenerTableTest, WhoeverWaitsInAListenerThatWasMadeBlockingComesBack) {
  ListenerTable table;
  ASSERT_TRUE(table.open(options_, none_, failure_));
  ASSERT_EQ(table.mend(), 0U);
  const std::vector<Socket> shared = table.listeners_of(0).value();
  ASSERT_EQ(::fcntl(shared.front().fd(), F_SETFL, 0), 0);
  std::atomic<bool> waits = true;
  std::thread sibling([&] {
    while (Socket::accept(shared.front().fd())) continue;  // would-block is a success, too
    waits = false;
  });
  const TimePoint limit = monotonic_now() + kLimit;
  while (waits && monotonic_now() < limit) {
    ::fcntl(shared.front().fd(), F_SETFL, 0);  // in case it was not in accept() yet
    static_cast<void>(table.mend());
  }
  EXPECT_FALSE(waits);
  ::shutdown(shared.front().fd(), SHUT_RD);  // ends the thread in any case
  sibling.join();
}

#if defined(__linux__)
// A worker of an earlier server may have left the filter. If the socket is inherited, only the
// process that passed it can make another one.
TEST_F(ListenerTableTest, ALockedFilterThatWasThereBeforeIsNoticed) {
  for (const bool inherited : {false, true}) {
    const LogCapture log;
    Socket made = Socket::listen(Address::loopback(0), {}).value();
    if (inherited) options_.addresses = {InheritedSocket{made.release().release()}};
    options_.workers = 1;
    options_.reuse_port = false;
    ListenerTable table;
    ASSERT_TRUE(table.open(options_, none_, failure_));
    kDeafenings[2].act(table.listeners_of(0).value().front().fd());
    EXPECT_EQ(table.mend(), inherited ? 0U : 1U);
    EXPECT_EQ(log.contains("deaf, and it can't be opened again"), inherited);
    EXPECT_EQ(table.mend(), 0U);
  }
}
#endif

TEST_F(ListenerTableTest, AUnixListenerThatWasShutDownIsMadeAnewAsOftenAsItTakes) {
  const TemporaryFolder folder;
  options_.addresses = {folder.socket()};
  {
    ListenerTable table;
    ASSERT_TRUE(table.open(options_, none_, failure_));
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(table.mend(), 0U);
      ::shutdown(table.listeners_of(0).value().front().fd(), SHUT_RD);
      EXPECT_EQ(table.mend(), 1U);
      EXPECT_TRUE(is_served(table, 1, folder.socket()));
    }
  }
  EXPECT_EQ(folder.files(), 0U);
}

TEST_F(ListenerTableTest, RemovesItsOwnFileAndNobodyElses) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  options_.addresses = {folder.socket("s")};
  {
    ListenerTable table;
    ASSERT_TRUE(table.open(options_, none_, failure_));
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  {
    ListenerTable table;
    ASSERT_TRUE(table.open(options_, none_, failure_));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    std::ofstream(path) << "another's";
  }
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace reactor::prefork
