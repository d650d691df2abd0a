// SPDX-License-Identifier: MIT
// These tests send, wait and close with Channel and Event.
#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Channels : public CoroTest {};

Task<> produce(Channel<int>& channel, int count, int& pushed) {
  for (int i = 0; i < count; ++i) {
    if (!co_await channel.push(i)) break;
    ++pushed;
  }
  channel.close();
}
Task<> consume(Channel<int>& channel, std::vector<int>& got) {
  while (const std::optional<int> value = co_await channel.pop()) got.push_back(*value);
}

TEST_P(Channels, CarryValuesInOrder) {
  for (const std::size_t capacity : {0u, 1u, 3u, 1000u}) {
    Loop loop(options());
    Channel<int> channel(capacity);
    int pushed = 0;
    std::vector<int> got;
    const Spawned consumer = spawn(loop, consume(channel, got));
    const Spawned producer = spawn(loop, produce(channel, 500, pushed));
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(pushed, 500);
    ASSERT_EQ(got.size(), 500u);
    for (int i = 0; i < 500; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
    EXPECT_TRUE(consumer.done());
  }
}

TEST_P(Channels, HoldAProducerBack) {
  Loop loop(options());
  Channel<int> channel(4);
  int pushed = 0;
  const Spawned producer = spawn(loop, produce(channel, 100, pushed));
  EXPECT_TRUE(run_to_end(loop)) << "who waits at a channel keeps no loop going";
  EXPECT_EQ(pushed, 4);
  EXPECT_EQ(channel.size(), 4u);
  EXPECT_EQ(channel.try_pop(), 0);
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(pushed, 5);
  channel.close();
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(producer.done());
  EXPECT_EQ(pushed, 5) << "the one that waited was turned away";
  for (int i = 1; i < 5; ++i) EXPECT_EQ(channel.try_pop(), i);
  EXPECT_EQ(channel.try_pop(), std::nullopt);
}

TEST_P(Channels, LoseNoValueWithAConsumer) {
  Loop loop(options());
  Channel<int> channel(2);
  std::vector<int> first, second;
  Spawned doomed = spawn(loop, consume(channel, first));
  const Spawned next = spawn(loop, consume(channel, second));
  ASSERT_TRUE(loop.poll().has_value());
  EXPECT_TRUE(channel.try_push(1));
  EXPECT_EQ(channel.try_pop(), std::nullopt) << "it is promised to who waits";
  doomed.cancel();
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(second, std::vector<int>{1});
}

TEST_P(Channels, MayGoBeforeThoseWhoWait) {
  Loop loop(options());
  int pushed = 0;
  std::vector<int> got;
  {
    Channel<int> full(1), empty(1), woken(1);
    spawn(loop, produce(full, 5, pushed)).detach();
    spawn(loop, consume(empty, got)).detach();
    spawn(loop, consume(woken, got)).detach();
    ASSERT_TRUE(loop.poll().has_value());
    EXPECT_TRUE(woken.try_push(1));
  }
  EXPECT_EQ(pushed, 1);
}

Task<> pass(Event& gate, int& passed) {
  co_await gate.wait();
  ++passed;
}

TEST_P(Channels, MayGoRightAfterTheyWereClosed) {
  Loop loop(options());
  auto channel = std::make_unique<Channel<int>>(1);
  auto full = std::make_unique<Channel<int>>(1);
  EXPECT_TRUE(full->try_push(1));
  std::optional<int> popped = 1;
  bool pushed = true;
  const auto pop = [&]() -> Task<> { popped = co_await channel->pop(); };
  const auto push = [&]() -> Task<> { pushed = co_await full->push(2); };
  const Spawned popper = spawn(loop, pop()), pusher = spawn(loop, push());
  ASSERT_TRUE(loop.poll().has_value());
  channel->close();
  full->close();
  channel.reset();
  full.reset();
  EXPECT_TRUE(pump(loop, [&] { return popper.done() && pusher.done(); }));
  EXPECT_EQ(popped, std::nullopt);
  EXPECT_FALSE(pushed);
}

TEST_P(Channels, AnEventLetsAllThrough) {
  Loop loop(options());
  int passed = 0;
  {
    Event gate;
    for (int i = 0; i < 3; ++i) spawn(loop, pass(gate, passed)).detach();
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(passed, 0);
    gate.set();
    spawn(loop, pass(gate, passed)).detach();
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(passed, 4);
    gate.reset();
    spawn(loop, pass(gate, passed)).detach();
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_EQ(passed, 4);
  }
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(passed, 5);
}

INSTANTIATE_TEST_SUITE_P(Backends, Channels, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
