// SPDX-License-Identifier: MIT
// These tests cover the owners of spawned tasks, and the way that their exceptions take.
#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Spawning : public CoroTest {};

Task<> forever(int& alive) {
  const Alive here(alive);
  co_await sleep_for(kForever);
}
Task<> note(std::string& text, std::string what) {
  text += what;
  co_return;
}
Task<> fail_after(Duration delay) {
  co_await sleep_for(delay);
  throw std::runtime_error("out of a task");
}
Task<> add_after(Duration delay, int& count) {
  co_await sleep_for(delay);
  ++count;
}

TEST_P(Spawning, BeginsSoonAndInOrder) {
  Loop loop(options());
  std::string text;
  spawn(loop, note(text, "a")).detach();
  spawn(loop, note(text, "b")).detach();
  EXPECT_EQ(text, "");
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(text, "ab");
}

TEST_P(Spawning, AnExceptionLeavesRunAndTheLoopGoesOn) {
  Loop loop(options());
  int count = 0;
  spawn(loop, fail_after(0ms)).detach();
  spawn(loop, fail_after(0ms)).detach();
  spawn(loop, add_after(1ms, count)).detach();
  EXPECT_THROW((void)loop.run(), std::runtime_error);
  EXPECT_THROW((void)loop.run(), std::runtime_error);
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(count, 1);
}

TEST_P(Spawning, AnExceptionBeforeTheFirstWaitLeavesRunToo) {
  Loop loop(options());
  const auto body = []() -> Task<> {
    throw std::runtime_error("at once");
    co_return;
  };
  std::string text;
  const Spawned failed = spawn(loop, body());
  spawn(loop, note(text, "next")).detach();
  EXPECT_THROW((void)loop.run(), std::runtime_error);
  EXPECT_TRUE(failed.done());
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(text, "next");
}

// Suspends, and stores the coroutine's handle so that a test can resume it.
struct Parked {
  std::coroutine_handle<>& place;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> coroutine) const noexcept { place = coroutine; }
  void await_resume() const noexcept {}
};
Task<> park(std::coroutine_handle<>& place, int& alive) {
  const Alive here(alive);
  co_await Parked{place};
}
struct ResumesAtItsEnd {
  std::coroutine_handle<> coroutine;
  explicit ResumesAtItsEnd(std::coroutine_handle<> to_resume) noexcept : coroutine(to_resume) {}
  ResumesAtItsEnd(ResumesAtItsEnd&& other) noexcept
      : coroutine(std::exchange(other.coroutine, nullptr)) {}
  ~ResumesAtItsEnd() {
    if (coroutine) coroutine.resume();
  }
};
Task<> keep(ResumesAtItsEnd) { co_return; }

TEST_P(Spawning, ATaskThatADestructorOfAnotherResumesIsClearedAwayToo) {
  Loop loop(options());
  int alive = 0;
  std::coroutine_handle<> parked;
  const Spawned first = spawn(loop, park(parked, alive));
  ASSERT_TRUE(loop.poll().has_value());
  ASSERT_EQ(alive, 1);
  const Spawned second = spawn(loop, keep(ResumesAtItsEnd(parked)));
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(second.done());
  EXPECT_TRUE(first.done());
  EXPECT_EQ(alive, 0);
}

// This argument of a task spawns the task again when it is destroyed.
struct SpawnsAgain {
  TaskGroup* group;
  int* times;
  SpawnsAgain(TaskGroup& where, int& count) noexcept : group(&where), times(&count) {}
  SpawnsAgain(SpawnsAgain&& other) noexcept
      : group(std::exchange(other.group, nullptr)), times(other.times) {}
  ~SpawnsAgain();
};
Task<> keep_spawning(SpawnsAgain) { co_return; }
SpawnsAgain::~SpawnsAgain() {
  if (group == nullptr || ++*times > 100) return;
  group->spawn(keep_spawning(SpawnsAgain(*group, *times)));
}

TEST_P(Spawning, WhileTheLoopEndsAGroupOnlyDestroysTasks) {
  auto loop = std::make_unique<Loop>(options());
  TaskGroup group(*loop);
  int times = 0;
  // Its destruction spawns one more task, which the group does not keep.
  group.spawn(keep_spawning(SpawnsAgain(group, times)));
  loop.reset();
  EXPECT_EQ(group.size(), 0U);
  EXPECT_GT(times, 0);
}

TEST_P(Spawning, EachOfManyExceptionsOfATurnLeavesRun) {
  Loop loop(options());
  int count = 0;
  std::vector<Spawned> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(spawn(loop, fail_after(0ms)));
  spawn(loop, add_after(1ms, count)).detach();
  for (int i = 0; i < 20; ++i) EXPECT_THROW((void)loop.run(), std::runtime_error);
  for (const Spawned& task : tasks) EXPECT_TRUE(task.done());
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_EQ(count, 1);
}

// Tests wait by these functions, none of which may take a body that throws for one that ends.
TEST_P(Spawning, AnExceptionReachesATestThatWaitsForTheEnd) {
  const auto body = []() -> Task<> {
    throw std::runtime_error("out of a task");
    co_return;
  };
  const auto with = [&](auto wait) {
    Loop loop(options());
    const Spawned failing = spawn(loop, body());
    EXPECT_THROW((void)wait(loop, [&] { return failing.done(); }), std::runtime_error);
    EXPECT_TRUE(failing.done());
  };
  with([](Loop& loop, auto done) { return run_bounded(loop, done); });
  with([](Loop& loop, auto done) { return pump(loop, done); });
  with([](Loop& loop, auto done) { return poll_until(loop, done); });
  with([](Loop& loop, auto) { return run_to_end(loop); });
}

// An exception that has left a task is not lost if the task's handle is destroyed.
TEST_P(Spawning, AnExceptionOutlivesTheHandleOfItsTask) {
  Loop loop(options());
  std::coroutine_handle<> parked;
  std::optional<Spawned> failing;
  const auto body = [](std::coroutine_handle<>& place) -> Task<> {
    co_await Parked{place};
    throw std::runtime_error("out of a task");
  };
  failing.emplace(spawn(loop, body(parked)));
  ASSERT_TRUE(loop.poll().has_value());
  parked.resume();
  failing.reset();
  EXPECT_THROW((void)loop.run(), std::runtime_error);
  EXPECT_TRUE(run_to_end(loop));
}

TEST_P(Spawning, TheHandleEndsItsTask) {
  Loop loop(options());
  int alive = 0;
  Spawned first = spawn(loop, forever(alive));
  Spawned second = spawn(loop, forever(alive));
  ASSERT_TRUE(loop.poll().has_value());
  EXPECT_EQ(alive, 2);
  first = std::move(second);
  EXPECT_EQ(alive, 1);
  EXPECT_FALSE(first.done());
  first.cancel();
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(first.done());
  { const Spawned unborn = spawn(loop, forever(alive)); }
  EXPECT_TRUE(run_to_end(loop));
}

TEST_P(Spawning, TheLoopsEndIsTheirs) {
  int alive = 0;
  Spawned handle;
  std::optional<TaskGroup> group;
  {
    Loop loop(options());
    group.emplace(loop);
    group->spawn(forever(alive));
    spawn(loop, forever(alive)).detach();
    handle = spawn(loop, forever(alive));
    ASSERT_TRUE(loop.poll().has_value());
    EXPECT_EQ(alive, 3);
  }
  EXPECT_EQ(alive, 0);
  EXPECT_TRUE(handle.done());
  EXPECT_EQ(group->size(), 0u);
}

TEST_P(Spawning, AGroupEndsItsTasks) {
  Loop loop(options());
  int alive = 0;
  {
    TaskGroup group(loop);
    for (int i = 0; i < 5; ++i) group.spawn(forever(alive));
    ASSERT_TRUE(loop.poll().has_value());
    EXPECT_EQ(alive, 5);
    EXPECT_EQ(group.size(), 5u);
  }
  EXPECT_EQ(alive, 0);
}

TEST_P(Spawning, AGroupCanBeWaitedFor) {
  Loop loop(options());
  int count = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group(co_await this_loop());
    co_await group.join();
    for (int i = 0; i < 3; ++i) group.spawn(add_after(milliseconds(i), count));
    co_await group.join();
    EXPECT_EQ(count, 3);
    EXPECT_EQ(group.size(), 0u);
  };
  EXPECT_TRUE(run(loop, body()));
  EXPECT_EQ(count, 3);
}

struct Session {
  Session(Loop& loop, int& sessions) : exists(sessions), group(loop) {}
  Alive exists;
  int begun = 0;
  TaskGroup group;
};
Task<> serve_session(std::shared_ptr<Session> session, Duration time) {
  ++session->begun;
  co_await sleep_for(time);
}
Task<> assist(Session& session) {
  ++session.begun;
  co_await sleep_for(kForever);
}

TEST_P(Spawning, AGroupGoesOnAfterAFailure) {
  Loop loop(options());
  int count = 0;
  const auto body = [&]() -> Task<> {
    TaskGroup group(co_await this_loop());
    group.spawn(fail_after(0ms));
    group.spawn(add_after(1ms, count));
    co_await group.join();
    EXPECT_EQ(count, 1);
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_THROW((void)loop.run(), std::runtime_error);
  EXPECT_FALSE(spawned.done());
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(spawned.done());
}

TEST_P(Spawning, ATaskMayOwnItsGroup) {
  for (const Duration time : {Duration(1ms), kForever}) {
    std::optional<Loop> loop(std::in_place, options());
    int sessions = 0;
    auto session = std::make_shared<Session>(*loop, sessions);
    session->group.spawn(assist(*session));
    session->group.spawn(serve_session(session, time));
    session->group.spawn(assist(*session));
    ASSERT_TRUE(loop->poll().has_value());
    EXPECT_EQ(session->begun, 3);
    session.reset();
    if (time == kForever) {
      loop.reset();
    } else {
      EXPECT_TRUE(pump(*loop, [&] { return sessions == 0; })) << "with the task that owns it";
    }
    EXPECT_EQ(sessions, 0);
  }
}

TEST_P(Spawning, OneTaskMayEndAnother) {
  Loop loop(options());
  int alive = 0;
  const auto body = [&]() -> Task<> {
    Spawned other = spawn(co_await this_loop(), forever(alive));
    co_await yield();
    EXPECT_EQ(alive, 1);
    other.cancel();
    EXPECT_EQ(alive, 0);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Spawning, TasksThatAreAlwaysReadyLetTheLoopRun) {
  Loop loop(options());
  bool stop = false;
  const auto busy = [&]() -> Task<> {
    while (!stop) co_await yield();
  };
  spawn(loop, busy()).detach();
  const Timer timer = loop.after(2ms, [&] { stop = true; });
  EXPECT_TRUE(run_to_end(loop));
  EXPECT_TRUE(stop);
}

INSTANTIATE_TEST_SUITE_P(Backends, Spawning, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
