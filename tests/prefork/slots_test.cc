// SPDX-License-Identifier: MIT
#include "reactor/prefork/slots.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include "tests/support/fd_guard.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

class SlotsTest : public ::testing::Test {
 protected:
  SlotsTest() {
    options_.addresses = {Address::loopback(0)};
    options_.workers = 4;
  }

  // Which kernel objects the workers get for the address at `index`.
  static std::set<ino_t> inodes(const Slots& slots, unsigned workers, std::size_t index = 0) {
    std::set<ino_t> result;
    for (unsigned slot = 0; slot < workers; ++slot) {
      const std::vector<Socket> sockets = slots.listeners_of(slot).value();
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
  Slots::Failure failure_;
  Inheritance none_;
};

TEST_F(SlotsTest, OneSocketPerSlotOnOnePort) {
  Slots slots;
  ASSERT_TRUE(slots.open(options_, none_, failure_));
  ASSERT_EQ(slots.addresses().size(), 1U);
  EXPECT_NE(slots.addresses()[0].address.port(), 0);
  EXPECT_EQ(inodes(slots, 4).size(), 4U);
  for (unsigned slot = 0; slot < 4; ++slot) {
    const std::vector<Socket> sockets = slots.listeners_of(slot).value();
    EXPECT_EQ(sockets.at(0).local().value(), slots.addresses()[0].address);
  }
}

TEST_F(SlotsTest, OneForAllWhereItIsSwitchedOff) {
  options_.reuse_port = false;
  Slots slots;
  ASSERT_TRUE(slots.open(options_, none_, failure_));
  EXPECT_EQ(inodes(slots, 4).size(), 1U);
}

TEST_F(SlotsTest, UnixSocketsAreShared) {
  const TemporaryFolder folder;
  options_.addresses.push_back(folder.socket());
  Slots slots;
  ASSERT_TRUE(slots.open(options_, none_, failure_));
  EXPECT_EQ(inodes(slots, 4, 0).size(), 4U);
  EXPECT_EQ(inodes(slots, 4, 1).size(), 1U);
}

TEST_F(SlotsTest, WhatIsSomebodyElsesStaysWithItsAddress) {
  const TemporaryFolder folder;
  Socket made = Socket::listen(Address::loopback(0), {}).value();
  const Address address = made.local().value();
  options_.addresses = {folder.socket(), InheritedSocket{made.release().release()}};
  Slots slots;
  ASSERT_TRUE(slots.open(options_, none_, failure_));
  EXPECT_EQ(slots.addresses(), (std::vector<Endpoint>{folder.socket(), address}));
  slots.close_own();
  EXPECT_EQ(slots.addresses(), std::vector<Endpoint>{address});
}

TEST_F(SlotsTest, APortInUseIsRefusedAlsoWithReusePort) {
  for (const bool reuse : {false, true}) {
    options_.listen.reuse_port = reuse;
    const Socket other = Socket::listen(Address::loopback(0), options_.listen).value();
    options_.addresses = {Address::loopback(0), other.local().value()};
    Slots slots;
    EXPECT_FALSE(slots.open(options_, none_, failure_));
    EXPECT_EQ(failure_.error, std::errc::address_in_use);
    EXPECT_EQ(to_string(failure_.bind), to_string(options_.addresses[1]));
  }
}

// Two programs may start at the same moment; one that shared the port would take half of the work.
TEST_F(SlotsTest, NoTwoHaveOnePortHoweverTheyRace) {
  for (int round = 0; round < 200; ++round) {
    options_.addresses = {Socket::listen(Address::loopback(0), {}).value().local().value()};
    std::array<Slots, 2> rivals;
    std::array<bool, 2> opened{};
    std::atomic<int> waiting = 2;
    const auto open = [&](std::size_t rival) {
      Slots::Failure failure;
      for (--waiting; waiting > 0;) std::this_thread::yield();
      opened[rival] = rivals[rival].open(options_, none_, failure);
    };
    std::thread other(open, 0);
    open(1);
    other.join();
    ASSERT_FALSE(opened[0] && opened[1]) << "in round " << round;
  }
}

TEST_F(SlotsTest, RemovesItsOwnFileAndNobodyElses) {
  const TemporaryFolder folder;
  const std::string path = folder.file("s");
  options_.addresses = {folder.socket("s")};
  {
    Slots slots;
    ASSERT_TRUE(slots.open(options_, none_, failure_));
    EXPECT_EQ(::access(path.c_str(), F_OK), 0);
  }
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  {
    Slots slots;
    ASSERT_TRUE(slots.open(options_, none_, failure_));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    std::ofstream(path) << "another's";
  }
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace reactor::prefork
