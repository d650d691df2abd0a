// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/control.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <vector>

#include "reactor/net/fd_passing.h"
#include "tests/support/fd_guard.h"

namespace reactor::prefork {
namespace {

using Heard = Control::Heard;

class ControlTest : public ::testing::Test {
 protected:
  FdGuard guard_;
};

TEST_F(ControlTest, CarriesMessagesInOrderAndDescriptors) {
  auto [master, worker] = make_control().value();
  EXPECT_FALSE(worker.receive().message);
  EXPECT_FALSE(worker.receive().ended);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ASSERT_TRUE(master.send({.kind = Message::Kind::look, .slot = 3}));
  ASSERT_TRUE(master.send({.kind = Message::Kind::sibling, .slot = 4, .value = 2}, writer.get()));
  ASSERT_TRUE(master.send({.kind = Message::Kind::retire, .slot = 5, .value = 6}));
  writer.reset();

  WorkerControl::Received first = worker.receive();
  ASSERT_TRUE(first.message);
  EXPECT_EQ(first.message->kind, Message::Kind::look);
  EXPECT_EQ(first.message->slot, 3);
  EXPECT_FALSE(first.descriptor);

  WorkerControl::Received second = worker.receive();
  ASSERT_TRUE(second.message);
  EXPECT_EQ(second.message->kind, Message::Kind::sibling);
  EXPECT_EQ(second.message->value, 2U);
  ASSERT_TRUE(second.descriptor);
  ASSERT_EQ(::write(second.descriptor.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 1);

  WorkerControl::Received third = worker.receive();
  ASSERT_TRUE(third.message);
  EXPECT_EQ(third.message->value, 6U);
  EXPECT_FALSE(third.descriptor);
  EXPECT_FALSE(worker.receive().message);
}

TEST_F(ControlTest, NeverCutsAMessage) {
  auto [master, worker] = make_control().value();
  std::uint32_t sent = 0;
  while (sent < 1'000'000 && master.send({.kind = Message::Kind::look, .value = sent})) ++sent;
  ASSERT_GT(sent, 100U);
  ASSERT_LT(sent, 1'000'000U);
  for (std::uint32_t i = 0; i < sent; ++i) {
    const WorkerControl::Received received = worker.receive();
    ASSERT_TRUE(received.message);
    ASSERT_EQ(received.message->value, i);
  }
  EXPECT_FALSE(worker.receive().message);
  EXPECT_TRUE(master.send({.kind = Message::Kind::look}));
}

// Leaves no descriptor number free while it lives.
class NoFreeDescriptor {
 public:
  NoFreeDescriptor() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const UniqueFd lowest(::dup(STDERR_FILENO));
    const rlimit none{static_cast<rlim_t>(lowest.get()), before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  NoFreeDescriptor(const NoFreeDescriptor&) = delete;
  NoFreeDescriptor& operator=(const NoFreeDescriptor&) = delete;
  ~NoFreeDescriptor() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }

 private:
  rlimit before_{};
};

TEST_F(ControlTest, AMessageWithADescriptorWaitsUntilTheWorkerCanOpenOne) {
  auto [master, worker] = make_control().value();
  ASSERT_TRUE(master.send({.kind = Message::Kind::look}));
  ASSERT_TRUE(master.send({.kind = Message::Kind::sibling, .slot = 4}, STDERR_FILENO));
  {
    const NoFreeDescriptor none;
    const WorkerControl::Received first = worker.receive();
    ASSERT_TRUE(first.message) << "it has none";
    EXPECT_EQ(first.message->kind, Message::Kind::look);
    const WorkerControl::Received second = worker.receive();
    EXPECT_TRUE(second.later);
    EXPECT_FALSE(second.message);
    EXPECT_FALSE(second.ended);
  }
  const WorkerControl::Received second = worker.receive();
  ASSERT_TRUE(second.message);
  EXPECT_EQ(second.message->slot, 4);
  EXPECT_TRUE(second.descriptor);
}

TEST_F(ControlTest, TheEndOfTheMasterIsSeenWithoutAFreeDescriptor) {
  auto [master, worker] = make_control().value();
  const NoFreeDescriptor none;
  EXPECT_FALSE(worker.receive().later) << "nothing waits";
  master.close();
  EXPECT_TRUE(worker.receive().ended);
}

TEST_F(ControlTest, HearsANoticeOnceHoweverOftenItIsSaid) {
  auto [master, worker] = make_control().value();
  EXPECT_EQ(master.hear(), Heard::nothing);
  EXPECT_TRUE(worker.say_ready());
  EXPECT_TRUE(worker.say_ready());
  worker.ask_for_successor();
  worker.ask_for_successor();
  EXPECT_EQ(master.hear(), Heard::ready);
  EXPECT_EQ(master.hear(), Heard::renew);
  EXPECT_EQ(master.hear(), Heard::nothing);
}

TEST_F(ControlTest, AWishForASuccessorWaitsForReady) {
  auto [master, worker] = make_control().value();
  worker.ask_for_successor();
  EXPECT_EQ(master.hear(), Heard::nothing);
  EXPECT_TRUE(worker.say_ready());
  EXPECT_EQ(master.hear(), Heard::ready);
  EXPECT_EQ(master.hear(), Heard::renew);
}

TEST_F(ControlTest, SaysThatTheOtherIsGone) {
  auto [master, worker] = make_control().value();
  EXPECT_TRUE(worker.say_ready());
  worker = {};
  EXPECT_EQ(master.hear(), Heard::ready) << "said before";
  EXPECT_EQ(master.hear(), Heard::ended);
  EXPECT_FALSE(master.send({.kind = Message::Kind::look}));
}

TEST_F(ControlTest, AWorkerWithoutAMasterIsToldAndGetsNoSignal) {
  auto [master, worker] = make_control().value();
  master.close();
  EXPECT_TRUE(worker.receive().ended);
  EXPECT_FALSE(worker.say_ready());  // SIGPIPE would end the test
}

// ---- A worker that runs foreign code ----

struct Stranger {
  const char* name;
  std::vector<std::uint8_t> writes;
  std::vector<Heard> heard;
};

TEST_F(ControlTest, WhatNoWorkerSaysBreaksTheRules) {
  const Stranger strangers[] = {
      {"zero", {0}, {Heard::broken_rules}},
      {"unknown", {3}, {Heard::broken_rules}},
      {"largest", {255}, {Heard::broken_rules}},
      {"renew first", {2}, {Heard::broken_rules}},
      {"ready twice", {1, 1}, {Heard::ready, Heard::broken_rules}},
      {"renew twice", {1, 2, 2}, {Heard::ready, Heard::renew, Heard::broken_rules}},
      {"ready after renew", {1, 2, 1}, {Heard::ready, Heard::renew, Heard::broken_rules}},
      {"one after the last", {1, 2, 3}, {Heard::ready, Heard::renew, Heard::broken_rules}},
  };
  for (const Stranger& stranger : strangers) {
    SCOPED_TRACE(stranger.name);
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    Control master({}, UniqueFd(pipe[0]));
    const UniqueFd worker(pipe[1]);
    ASSERT_EQ(::write(worker.get(), stranger.writes.data(), stranger.writes.size()),
              static_cast<ssize_t>(stranger.writes.size()));
    for (const Heard heard : stranger.heard) EXPECT_EQ(master.hear(), heard);
  }
}

// If the master received a socket from a worker, closing it could block the master for as long as
// the worker likes.
TEST_F(ControlTest, TheWorkerCannotSendTheMasterADescriptor) {
  auto [master, worker] = make_control().value();
  const std::array<std::byte, 8> bytes{};
  const UniqueFd descriptor(::dup(STDERR_FILENO));
  const IoResult sent = send_with_descriptor(worker.fd(), bytes, descriptor.get());
  EXPECT_TRUE(sent.is_error()) << "the way back is shut down";
  EXPECT_EQ(master.hear(), Heard::nothing);
  EXPECT_TRUE(master.send({.kind = Message::Kind::look}));
  EXPECT_TRUE(worker.receive().message) << "the way there is not";
}

}  // namespace
}  // namespace reactor::prefork
