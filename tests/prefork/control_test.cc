// SPDX-License-Identifier: MIT
#include "reactor/prefork/control.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

#include "tests/support/fd_guard.h"

namespace reactor::prefork {
namespace {

class ControlTest : public ::testing::Test {
 protected:
  FdGuard guard_;
};

TEST_F(ControlTest, CarriesMessagesInOrderAndDescriptors) {
  auto [master, worker] = Control::make_pair().value();
  EXPECT_FALSE(worker.receive().message);
  EXPECT_FALSE(worker.receive().ended);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ASSERT_TRUE(master.send({.kind = Message::Kind::orphan, .slot = 3}));
  ASSERT_TRUE(master.send({.kind = Message::Kind::sibling, .slot = 4, .value = 2}, writer.get()));
  ASSERT_TRUE(master.send({.kind = Message::Kind::retire, .slot = 5, .value = 6}));
  writer.reset();

  Control::Received first = worker.receive();
  ASSERT_TRUE(first.message);
  EXPECT_EQ(first.message->kind, Message::Kind::orphan);
  EXPECT_EQ(first.message->slot, 3);
  EXPECT_FALSE(first.descriptor);

  Control::Received second = worker.receive();
  ASSERT_TRUE(second.message);
  EXPECT_EQ(second.message->kind, Message::Kind::sibling);
  EXPECT_EQ(second.message->value, 2U);
  ASSERT_TRUE(second.descriptor);
  ASSERT_EQ(::write(second.descriptor.get(), "x", 1), 1);
  char octet = 0;
  EXPECT_EQ(::read(reader.get(), &octet, 1), 1);

  Control::Received third = worker.receive();
  ASSERT_TRUE(third.message);
  EXPECT_EQ(third.message->value, 6U);
  EXPECT_FALSE(third.descriptor);
  EXPECT_FALSE(worker.receive().message);
}

TEST_F(ControlTest, SaysThatTheOtherIsGone) {
  auto [master, worker] = Control::make_pair().value();
  ASSERT_TRUE(worker.send({.kind = Message::Kind::ready}));
  worker.close();
  EXPECT_TRUE(master.receive().message);  // what it said before
  EXPECT_TRUE(master.receive().ended);
  EXPECT_FALSE(master.send({.kind = Message::Kind::orphan}));
}

TEST_F(ControlTest, NeverCutsAMessage) {
  auto [master, worker] = Control::make_pair().value();
  std::uint32_t sent = 0;
  while (sent < 1'000'000 && master.send({.kind = Message::Kind::orphan, .value = sent})) ++sent;
  ASSERT_GT(sent, 100U);
  ASSERT_LT(sent, 1'000'000U);
  for (std::uint32_t i = 0; i < sent; ++i) {
    const Control::Received received = worker.receive();
    ASSERT_TRUE(received.message);
    ASSERT_EQ(received.message->value, i);
  }
  EXPECT_FALSE(worker.receive().message);
  EXPECT_TRUE(master.send({.kind = Message::Kind::orphan}));
}

}  // namespace
}  // namespace reactor::prefork
