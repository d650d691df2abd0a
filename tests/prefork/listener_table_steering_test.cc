// SPDX-License-Identifier: MIT
// The listener that a connection is steered to is that of the worker on its processor, whatever
// happened to the listeners before.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "reactor/prefork/internal/listener_table.h"

#if defined(__linux__)
#include <fcntl.h>
#include <poll.h>
#include <sched.h>

#include <array>

#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"

namespace reactor::prefork {
namespace {

constexpr unsigned kSlots = 5;

class ListenerTableSteeringTest : public ::testing::Test {
 private:
  FdGuard guard_;
  LogCapture log_;
  cpu_set_t before_{};
  int processor_ = 0;

 protected:
  ListenerTableSteeringTest() {
    EXPECT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    while (!CPU_ISSET(processor_, &before_)) ++processor_;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processor_, &one);
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }
  ~ListenerTableSteeringTest() override { ::sched_setaffinity(0, sizeof before_, &before_); }

  void open(const Bind& bind) {
    options_.addresses = {bind};
    options_.workers = kSlots;
    Inheritance none;
    ListenerTable::Failure failure;
    ASSERT_TRUE(listeners_.open(options_, none, failure));
    ASSERT_EQ(listeners_.mend(), 0U);
  }
  // Checks for each slot that it gets the connections of this processor if its worker is there.
  void steers_to_each_slot() {
    for (unsigned slot = 0; slot < listeners_.slots(); ++slot) {
      std::vector<int> processors(listeners_.slots(), 9999);
      processors[slot] = processor_;
      ASSERT_EQ(listeners_.steer(processors), 1U);
      EXPECT_EQ(slot_of_a_connection(), slot);
    }
  }
  void shut_down(unsigned slot) { ::shutdown(listeners_.listener(slot, 0), SHUT_RD); }

  Options options_;
  ListenerTable listeners_;

 private:
  unsigned slot_of_a_connection() {
    const Socket client = Socket::connect(listeners_.addresses()[0].address).value();
    std::vector<pollfd> wait;
    for (unsigned slot = 0; slot < listeners_.slots(); ++slot) {
      wait.push_back({listeners_.listener(slot, 0), POLLIN, 0});
    }
    EXPECT_EQ(::poll(wait.data(), wait.size(), 10'000), 1);
    unsigned slot = 0;
    while (slot < wait.size() && wait[slot].revents == 0) ++slot;
    if (slot < wait.size()) static_cast<void>(Socket::accept(wait[slot].fd));
    return slot;
  }
};

TEST_F(ListenerTableSteeringTest, AtTheStartAndWithMoreSlots) {
  open(Address::loopback(0));
  steers_to_each_slot();
  ASSERT_FALSE(listeners_.grow(kSlots + 2));
  steers_to_each_slot();
}

TEST_F(ListenerTableSteeringTest, AfterAListenerWasMended) {
  open(Address::loopback(0));
  for (unsigned slot = 0; slot < kSlots; ++slot) {
    SCOPED_TRACE(slot);
    shut_down(slot);
    ASSERT_EQ(listeners_.mend(), 1U);
    steers_to_each_slot();
    ASSERT_EQ(::fcntl(listeners_.listener(slot, 0), F_SETFL, 0), 0);
    ASSERT_EQ(listeners_.mend(), 1U);
    steers_to_each_slot();
    ASSERT_EQ(::listen(listeners_.listener(slot, 0), 0), 0);
    ASSERT_EQ(listeners_.mend(), 1U);
    steers_to_each_slot();
  }
  ASSERT_FALSE(listeners_.grow(kSlots + 1));
  steers_to_each_slot();
}

TEST_F(ListenerTableSteeringTest, AfterAListenerWasReplaced) {
  open(Address::loopback(0));
  ASSERT_TRUE(Socket::refuse_new(listeners_.listener(1, 0)));
  const int on = 1;
  ASSERT_EQ(::setsockopt(listeners_.listener(1, 0), SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on), 0);
  ASSERT_EQ(listeners_.mend(), 1U);
  steers_to_each_slot();
}

TEST_F(ListenerTableSteeringTest, AfterSeveralWereMendedAtOnce) {
  open(Address::loopback(0));
  for (const unsigned slot : {0U, 1U, 3U}) shut_down(slot);
  ASSERT_EQ(listeners_.mend(), 3U);
  steers_to_each_slot();
}

TEST_F(ListenerTableSteeringTest, AnInheritedListenerIsTheFirst) {
  open(InheritedSocket{Socket::listen(Address::loopback(0), {}).value().release().release()});
  steers_to_each_slot();
  shut_down(0);
  ASSERT_EQ(listeners_.mend(), 1U);
  steers_to_each_slot();
}

// A later program takes the sockets in the order in which they are described.
TEST_F(ListenerTableSteeringTest, ALaterProgramGetsThemInTheKernelsOrder) {
  open(Address::loopback(0));
  shut_down(1);
  ASSERT_EQ(listeners_.mend(), 1U);
  std::vector<int> expected;
  for (const unsigned slot : {0U, 4U, 2U, 3U, 1U}) expected.push_back(listeners_.listener(slot, 0));
  EXPECT_EQ(listeners_.describe()[0].descriptors, expected);
}

// The kernel has one group for both, so it would count wrong.
TEST_F(ListenerTableSteeringTest, TwoGroupsAtOneAddressAreNotSteered) {
  ListenOptions reuse;
  reuse.reuse_port = true;
  Socket first = Socket::listen(Address::loopback(0), reuse).value();
  Socket second = Socket::listen(first.local().value(), reuse).value();
  options_.addresses = {InheritedSocket{first.release().release()},
                        InheritedSocket{second.release().release()}};
  options_.workers = 2;
  Inheritance none;
  ListenerTable::Failure failure;
  ASSERT_TRUE(listeners_.open(options_, none, failure));
  EXPECT_EQ(listeners_.steer(std::array<int, 2>{0, 1}), 0U);
}

}  // namespace
}  // namespace reactor::prefork
#endif
