// SPDX-License-Identifier: MIT
// A suspended task may be destroyed at every kind of await. It leaves nothing behind, and the event
// for which it waited has no effect any more. The sanitizers make these tests strict.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

// A connection takes fewer bytes than this while nobody reads.
const std::string& much() {
  static const std::string text(4 << 20, 'x');
  return text;
}

// The awaits below wait for these things. stir() makes all of them happen, but sends the signal
// only if a task still awaits one.
struct World {
  explicit World(Loop& in) : loop(in), line(in), full(in), channel(1), filled(1), group(in) {
    pipe = make_pipe();
    (void)filled.try_push(1);
    listener = Listener::listen(in, Address::loopback(0)).value();
    socket = Datagram::bind(in, Address::loopback(0)).value();
    group.spawn(hold());
  }

  ~World() { end_child(); }

  void start_child() {
    child = ::fork();
    if (child == 0) ::pause();
  }
  void end_child() {
    if (child <= 0) return;
    ::kill(child, SIGKILL);
    (void)::waitpid(std::exchange(child, -1), nullptr, 0);
  }

  Task<> hold() { co_await gate.wait(); }

  void stir(bool awaited) {
    line.peer.write("a line\n");
    full.peer.read();
    gate.set();
    (void)channel.try_push(2);
    (void)filled.try_pop();
    write_text(pipe.far.get(), "x");
    knock = Socket::connect(listener->address()).value();
    socket->transport().send_to("x", socket->address());
    socket->transport().flush();
    if (child > 0) ::kill(child, SIGKILL);
    if (awaited && signals) ::kill(::getpid(), SIGUSR2);
  }

  Loop& loop;
  Line line, full;
  Channel<int> channel, filled;
  Event gate;
  TaskGroup group;
  FdPair pipe;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Datagram> socket;
  Socket knock;
  pid_t child = -1;
  std::array<std::byte, 100> buffer{};
  bool signals = false;
};

Task<> sleeping(World&) { co_await sleep_for(1ms); }
Task<> yielding(World&) {
  for (;;) co_await yield();
}
Task<> gated(World& world) { co_await world.gate.wait(); }
Task<> popping(World& world) { (void)co_await world.channel.pop(); }
Task<> pushing(World& world) { (void)co_await world.filled.push(3); }
Task<> joining(World& world) { co_await world.group.join(); }
Task<> reading(World& world) { (void)co_await world.line.stream.read(world.buffer); }
Task<> reading_exactly(World& world) {
  (void)co_await world.line.stream.read_exactly(world.buffer);
}
Task<> reading_some(World& world) { (void)co_await world.line.stream.read_some(); }
Task<> reading_line(World& world) { (void)co_await world.line.stream.read_line(50); }
Task<> reading_until(World& world) { (void)co_await world.line.stream.read_until("\n", 50); }
Task<> reading_all(World& world) { (void)co_await world.line.stream.read_all(50); }
Task<> writing(World& world) { (void)co_await world.full.stream.write(much()); }
Task<> flushing(World& world) {
  (void)co_await with_timeout(0ms, world.full.stream.write(much()));
  (void)co_await world.full.stream.flush();
}
Task<> accepting(World& world) { (void)co_await world.listener->accept(); }
Task<> receiving(World& world) { (void)co_await world.socket->receive(world.buffer); }
Task<> connecting(World& world) {
  for (;;) (void)co_await connect(world.listener->address());
}
Task<> for_a_signal(World& world) {
  world.signals = true;
  (void)co_await signal(SIGUSR2);
}
Task<> for_a_child(World& world) {
  world.start_child();
  (void)co_await child_exit(world.child);
}
Task<> for_a_descriptor(World& world) { (void)co_await readable(world.pipe.near.get()); }
Task<> nested(World& world) { co_await gated(world); }
Task<> with_a_timeout(World& world) { (void)co_await with_timeout(1h, gated(world)); }
Task<> near_a_timeout(World& world) { (void)co_await with_timeout(1ms, popping(world)); }
Task<> for_all(World& world) { co_await when_all(gated(world), popping(world), sleep_for(1ms)); }
Task<> for_any(World& world) { (void)co_await when_any(gated(world), popping(world)); }
Task<> for_all_of(World& world) {
  std::vector<Task<>> tasks;
  tasks.push_back(gated(world));
  tasks.push_back(reading(world));
  co_await when_all(std::move(tasks));
}
Task<> for_any_of(World& world) {
  std::vector<Task<>> tasks;
  tasks.push_back(gated(world));
  tasks.push_back(reading(world));
  (void)co_await when_any(std::move(tasks));
}

struct Case {
  const char* name;
  Task<> (*task)(World&);
  bool brief = false;  // may end by itself
};
const Case kCases[] = {
    {"sleep", sleeping, true},
    {"yield", yielding},
    {"event", gated},
    {"pop", popping},
    {"push", pushing},
    {"join", joining},
    {"read", reading},
    {"read_exactly", reading_exactly},
    {"read_some", reading_some},
    {"read_line", reading_line},
    {"read_until", reading_until},
    {"read_all", reading_all},
    {"write", writing},
    {"flush", flushing},
    {"accept", accepting},
    {"receive", receiving},
    {"connect", connecting},
    {"signal", for_a_signal},
    {"child_exit", for_a_child},
    {"readable", for_a_descriptor},
    {"task", nested},
    {"with_timeout", with_a_timeout},
    {"short_timeout", near_a_timeout, true},
    {"when_all", for_all},
    {"when_any", for_any},
    {"when_all_of", for_all_of},
    {"when_any_of", for_any_of},
};

enum class End { cancelled, after_it_came, with_the_loop, as_a_loser };

class Cancelling : public CoroTest {
 protected:
  static Task<> guarded(World& world, Task<> (*task)(World&), int& alive) {
    const Alive here(alive);
    co_await task(world);
  }
  static Task<> quick() { co_await sleep_for(100us); }
  static Task<> race(World& world, Task<> (*task)(World&), int& alive) {
    (void)co_await when_any(guarded(world, task, alive), quick());
    EXPECT_EQ(alive, 0);
  }
};

void try_all(const LoopOptions& options, End end,
             Task<> (*start)(World&, Task<> (*)(World&), int&)) {
  for (const Case& each : kCases) {
    SCOPED_TRACE(each.name);
    int alive = 0;
    LoopOptions mine;
    mine.backend = options.backend;
    std::optional<Loop> loop(std::in_place, std::move(mine));
    World world(*loop);
    Spawned spawned = spawn(*loop, start(world, each.task, alive));
    for (int turn = 0; turn < 3; ++turn) ASSERT_TRUE(loop->run_once(200us).has_value());
    if (end != End::as_a_loser && !each.brief) {
      EXPECT_EQ(alive, 1) << "it does not wait";
    }
    if (end == End::after_it_came) world.stir(true);
    if (end == End::as_a_loser) {
      EXPECT_TRUE(pump(*loop, [&] { return spawned.done(); }));
    }
    if (end == End::with_the_loop) loop.reset();
    spawned.cancel();
    EXPECT_EQ(alive, 0);
    if (!loop) continue;
    if (end != End::after_it_came) world.stir(false);
    for (int turn = 0; turn < 3; ++turn) ASSERT_TRUE(loop->run_once(200us).has_value());
  }
}

TEST_P(Cancelling, AtEachAwait) { try_all(options(), End::cancelled, guarded); }
TEST_P(Cancelling, WhenItIsAboutToGoOn) { try_all(options(), End::after_it_came, guarded); }
TEST_P(Cancelling, ByTheEndOfTheLoop) { try_all(options(), End::with_the_loop, guarded); }
TEST_P(Cancelling, AsALoser) { try_all(options(), End::as_a_loser, race); }

INSTANTIATE_TEST_SUITE_P(Backends, Cancelling, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
