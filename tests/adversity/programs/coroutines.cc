// SPDX-License-Identifier: MIT
// Coroutines that sleep, share a channel, and talk over a connection; each may be cancelled.
#include <array>

#include "reactor/base/error.h"
#include "reactor/coro/coro.h"
#include "tests/adversity/programs/world.h"
#include "tests/support/pipes.h"

namespace reactor::programs {
namespace {

using coro::Task;

void host(World& world) { Callback(world, Callback::Kind::task).finish(); }

// In each frame: counts those that are alive.
class Frame {
 public:
  explicit Frame(World& world) noexcept : world_(world) { ++world_.frames; }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { --world_.frames; }

 private:
  World& world_;
};

Task<void> sleep(World& world, Duration delay) {
  const Frame frame(world);
  const TimePoint begin = world.loop().start_time();
  co_await coro::sleep_for(delay);
  require(world.loop().now() >= begin + delay, Rule::early, "sleep_for()");
  host(world);
}

Task<void> fail(World& world, Duration delay) {
  const Frame frame(world);
  co_await coro::sleep_for(delay);
  if (world.over) co_return;
  ++world.task_throws;
  throw ThrownByTask{};
}

Task<void> limited(World& world, Duration limit, Duration delay) {
  const Frame frame(world);
  const TimePoint begin = world.loop().start_time();
  const Result<> result = co_await coro::with_timeout(limit, sleep(world, delay));
  const Duration least = result.has_value() ? delay : limit;
  require(world.loop().now() >= begin + least, Rule::early, "with_timeout()");
  require(result.has_value() || result.error() == Errc::timed_out, Rule::coroutines);
}

using Numbers = coro::Channel<std::uint64_t>;

Task<void> push(World& world, Numbers& numbers, std::uint64_t number) {
  const Frame frame(world);
  co_await numbers.push(number);
  host(world);
}

Task<void> pop(World& world, Numbers& numbers, std::uint64_t& last) {
  const Frame frame(world);
  const std::optional<std::uint64_t> number = co_await numbers.pop();
  if (!number) co_return;
  require(*number > last, Rule::coroutines, "values of a channel out of order");
  last = *number;
  host(world);
}

// What a speaker and a hearer know of each other.
struct Talk {
  std::size_t count;
  bool said = false;
};

Task<void> say(World& world, coro::Stream stream, std::shared_ptr<Talk> talk) {
  const Frame frame(world);
  const std::vector<std::byte> bytes = bytes_from(0, talk->count);
  const Result<> sent = co_await stream.write(bytes);
  talk->said = sent.has_value();
}

// A speaker that was cancelled has sent a part.
Task<void> hear(World& world, coro::Stream stream, std::shared_ptr<const Talk> talk) {
  const Frame frame(world);
  std::uint64_t got = 0;
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const Result<std::size_t> read = co_await stream.read(buffer);
    if (!read || *read == 0) break;  // one that was cancelled resets
    require(are_bytes_from(got, std::span(buffer).first(*read)), Rule::bytes, "of a coroutine");
    got += *read;
    host(world);
    require(got <= talk->count, Rule::bytes, "more than a coroutine sent");
  }
  require(!talk->said || got == talk->count, Rule::whole, "of a coroutine");
}

class CoroutineActor final : public Actor {
 public:
  explicit CoroutineActor(World& world) : Actor(world), numbers_(2) {}

  void apply(const Operation& operation) override {
    const Duration delay = std::chrono::microseconds(operation.amount % 3000);
    const Duration limit = std::chrono::microseconds(operation.amount / 7 % 3000);
    if (operation.action == Action::spawn_sleep) spawn(sleep(world(), delay));
    if (operation.action == Action::spawn_timeout) spawn(limited(world(), limit, delay));
    if (operation.action == Action::spawn_push) spawn(push(world(), numbers_, ++pushed_));
    if (operation.action == Action::spawn_pop) spawn(pop(world(), numbers_, popped_));
    if (operation.action == Action::spawn_talk) talk(operation.amount);
    if (operation.action == Action::spawn_throw) spawn(fail(world(), delay));
    if (operation.action == Action::cancel) cancel(operation.amount);
  }
  void end() override { numbers_.close(); }
  void check() override {
    for (const coro::Spawned& each : spawned_) require(each.done(), Rule::coroutines, "no end");
  }

 private:
  void spawn(Task<void> task) { spawned_.push_back(coro::spawn(loop(), std::move(task))); }
  void talk(std::size_t count) {
    FdPair pair = make_tcp_pair();
    const auto talk = std::make_shared<Talk>(count);
    spawn(say(world(), coro::Stream(loop(), Socket(std::move(pair.near))), talk));
    spawn(hear(world(), coro::Stream(loop(), Socket(std::move(pair.far))), talk));
  }
  // Not from inside a task: it might be its own.
  void cancel(std::size_t amount) {
    if (world().tasks == 0 && !spawned_.empty()) spawned_[amount % spawned_.size()].cancel();
  }

  Numbers numbers_;  // outlives who waits in it
  std::uint64_t pushed_ = 0, popped_ = 0;
  std::vector<coro::Spawned> spawned_;
};

}  // namespace

Actors make_coroutines(World& world) {
  Actors actors;
  for (int i = 0; i < 2; ++i) actors.push_back(std::make_unique<CoroutineActor>(world));
  return actors;
}

}  // namespace reactor::programs
