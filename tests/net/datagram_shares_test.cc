// SPDX-License-Identifier: MIT
// A unix receiver that does not read must not hold up the other receivers.
#include <memory>
#include <string>
#include <vector>

#include "tests/support/datagram_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class DatagramSharesTest : public LoopTest {};

INSTANTIATE_TEST_SUITE_P(Backends, DatagramSharesTest, every_backend(), BackendName());

void expect_answers(Loop& loop, Datagram& server, DatagramPeer& client, std::size_t size,
                    int times) {
  for (int i = 0; i < times; ++i) {
    client.got.clear();
    server.send_to(std::string(size, 'x'), client.address());
    ASSERT_TRUE(pump(loop, [&] { return client.read(), !client.got.empty(); })) << size << ' ' << i;
  }
}

// Large datagrams fill the sender's buffer before they fill the receiver's queue.
TEST_P(DatagramSharesTest, OneThatNeverReadsSilencesNobodyElse) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  DatagramPeer lazy(folder.socket("lazy")), eager(folder.socket("eager"));
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler));
  expect_answers(loop, *server, eager, 100, 100);
  for (int round = 0; round < 50 && !HasFatalFailure(); ++round) {
    server->send_to(std::string(60'000, 'x'), lazy.address());
    server->flush();
    expect_answers(loop, *server, eager, 100, 10);
  }
  lazy.read();
  EXPECT_GT(lazy.got.size(), 0U);
  EXPECT_LT(lazy.got.size(), 5U);
  expect_answers(loop, *server, eager, 20'000, 20);
}

TEST_P(DatagramSharesTest, ThoseWhoReadAreNotHeldUp) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler));
  DatagramPeer client(folder.socket("client"));
  expect_answers(loop, *server, client, 60'000, 100);
  expect_answers(loop, *server, client, 1, 1000);
  EXPECT_TRUE(server->writable());
  EXPECT_EQ(server->stats().sent, 1100U);
}

// The receiver's own queue is full, and more and more bytes of other receivers are unread. The
// waiting datagram must not be charged again each time the kernel is asked. Otherwise its receiver
// would soon have to wait for tests.
TEST_P(DatagramSharesTest, ADatagramThatWaitsIsChargedOnce) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramOptions settings;
  settings.batches = false;
  DatagramRecorder handler;
  DatagramPeer lazy(folder.socket("lazy")), full(folder.socket("full"));
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler, settings));
  for (int sent = 0; server->writable() && sent < 40; ++sent) server->send_to("x", full.address());
  if (server->writable()) GTEST_SKIP() << "the queue of a receiver is long here";
  server->send_to(std::string(60'000, 'x'), lazy.address());
  std::vector<std::unique_ptr<DatagramPeer>> others;
  for (int retry = 0; retry < 8; ++retry) {
    const std::uint64_t calls = server->stats().send_calls;
    ASSERT_TRUE(run_bounded(loop, [&] { return server->stats().send_calls > calls; }));
    others.push_back(std::make_unique<DatagramPeer>(folder.socket(std::to_string(retry))));
    server->send_to(std::string(5'000, 'x'), others.back()->address());
  }
  full.read();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->writable(); }));
}

TEST_P(DatagramSharesTest, WhatNobodyTakesIsDroppedAndThenNothingIsTriedAnyMore) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramOptions settings;
  settings.receiver_patience = milliseconds(60);
  DatagramRecorder handler;
  DatagramPeer lazy(folder.socket("lazy"));
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler, settings));
  std::size_t sent = 0;
  for (; server->writable() && sent < 100'000; ++sent) {
    server->send_to("x", lazy.address());
    server->flush();
  }
  ASSERT_FALSE(server->writable());
  const TimePoint start = monotonic_now();
  ASSERT_TRUE(run_bounded(loop, [&] { return handler.drains == 1; }));
  EXPECT_GE(monotonic_now() - start, milliseconds(50));
  EXPECT_TRUE(server->writable());
  EXPECT_EQ(server->stats().dropped, 1U);
  EXPECT_LE(run_for(loop, milliseconds(20)), 1) << "nobody is asked again";
  lazy.read();
  EXPECT_EQ(lazy.got.size(), sent - 1);
}

TEST_P(DatagramSharesTest, OneReceiverGetsOnlyItsPartOfTheQueue) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramOptions settings;
  settings.receiver_limit = 1000;
  DatagramRecorder handler;
  DatagramPeer lazy(folder.socket("lazy"));
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler, settings));
  for (int i = 0; i < 1000 && server->stats().dropped == 0; ++i) {
    server->send_to(std::string(100, 'x'), lazy.address());
    server->flush();
  }
  EXPECT_GT(server->stats().dropped, 0U);
  EXPECT_GT(server->queued(), 1000U - 228);
  EXPECT_LE(server->queued(), 1000U);
}

// The socket retries less and less often while it waits.
TEST_P(DatagramSharesTest, AskingBacksOff) {
  Loop loop(options());
  const TemporaryFolder folder;
  DatagramRecorder handler;
  DatagramPeer lazy(folder.socket("lazy"));
  const auto server = get(Datagram::bind(loop, folder.socket("s"), handler));
  for (int i = 0; i < 1000 && server->writable(); ++i) {
    server->send_to("x", lazy.address());
    server->flush();
  }
  const std::uint64_t before = server->stats().send_calls;
  run_for(loop, milliseconds(400));
  EXPECT_LE(server->stats().send_calls - before, 8U) << "after 5, 10, 20, ... ms, and not each 5";
  ASSERT_TRUE(pump(loop, [&] { return lazy.read(), handler.drains == 1; }));
}

}  // namespace
}  // namespace reactor
