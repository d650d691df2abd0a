// SPDX-License-Identifier: MIT
// These tests await times, signals, child exits and descriptors.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Waiting : public CoroTest {};

TEST_P(Waiting, ASleepIsNeverShort) {
  Loop loop(options());
  const auto body = [&]() -> Task<> {
    const TimePoint begin = monotonic_now();
    co_await sleep_for(3ms);
    EXPECT_GE(monotonic_now() - begin, 3ms);
    co_await sleep_until(begin + 5ms);
    EXPECT_GE(monotonic_now() - begin, 5ms);
    co_await sleep_until(begin);
    co_await sleep_for(-1s);
    EXPECT_LT(monotonic_now() - begin, kLimit / 2);
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Waiting, ManySleepSideBySide) {
  Loop loop(options());
  int done = 0;
  const auto body = [&]() -> Task<> {
    co_await sleep_for(20ms);
    ++done;
  };
  const Ticks ticks(loop);
  for (int i = 0; i < 200; ++i) spawn(loop, body()).detach();
  EXPECT_TRUE(run_bounded(loop, [&] { return done == 200; }));
  EXPECT_LT(ticks.count, 100) << "400 if one after the other";
}

TEST_P(Waiting, ASignalIsAwaited) {
  Loop loop(options());
  const auto body = [&]() -> Task<> {
    const Timer timer = loop.after(1ms, [] { ::kill(::getpid(), SIGUSR1); });
    EXPECT_TRUE((co_await signal(SIGUSR1)).has_value());
    const Result<> wrong = co_await signal(-5);
    EXPECT_FALSE(wrong);
  };
  EXPECT_TRUE(run(loop, body()));
}

// The awaiter of signal() lives until the end of the full expression, longer than its await.
TEST_P(Waiting, ASignalIsAwaitedOnce) {
  Loop loop(options());
  const SignalWatcher other = get(loop.on_signal(SIGUSR1, [] {}));
  const auto slept = []() -> Task<Duration> {
    const TimePoint begin = monotonic_now();
    co_await sleep_for(5ms);
    co_return monotonic_now() - begin;
  };
  const auto body = [&]() -> Task<> {
    const Timer timer = loop.every(1ms, [] { ::kill(::getpid(), SIGUSR1); });
    const auto both = std::pair{co_await signal(SIGUSR1), co_await slept()};
    EXPECT_GE(both.second, 5ms);
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
}

TEST_P(Waiting, AChildsEndIsAwaited) {
  Loop loop(options());
  const auto body = [&]() -> Task<> {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(7);
    const ExitStatus status = co_await child_exit(pid);
    EXPECT_EQ(status.code(), 7);
    const ExitStatus stranger = co_await child_exit(::getpid());
    EXPECT_TRUE(stranger.error());
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Waiting, ADescriptorIsAwaited) {
  Loop loop(options());
  const FdPair pipe = make_pipe();
  const auto body = [&]() -> Task<> {
    EXPECT_TRUE((co_await writable(pipe.far.get())).has_value());
    const Timer timer = loop.after(1ms, [&] { write_text(pipe.far.get(), "now"); });
    EXPECT_TRUE((co_await readable(pipe.near.get())).has_value());
    EXPECT_EQ(read_text(pipe.near.get()), "now");
    const Result<> wrong = co_await readable(-1);
    EXPECT_EQ(wrong.error(), std::errc::bad_file_descriptor);
  };
  EXPECT_TRUE(run(loop, body()));
}

// The coroutine's frame, with all its awaiters, may be gone before the loop reports that the
// coroutine was slow.
TEST_P(Waiting, ASlowCoroutineThatEndedIsNamedByWhatItWaitedForLast) {
  LoopOptions chosen = options();
  chosen.slow_callback = 10ms;
  std::vector<unsigned> lines;
  chosen.on_slow = [&](const HandleInfo& who, Duration) {
    EXPECT_EQ(who.kind, "coroutine");
    lines.push_back(who.where.line());
  };
  Loop loop(std::move(chosen));
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  std::vector<unsigned> expected;
  const auto slow_after_a_sleep = [&]() -> Task<> {
    expected.push_back(__LINE__ + 1);
    co_await sleep_for(1ms);
    burn(20ms);
    EXPECT_EQ(loop.current().where.line(), expected.back());
  };
  const auto slow_after_a_timeout = [&]() -> Task<> {
    expected.push_back(__LINE__ + 1);
    const Result<> late = co_await with_timeout(1ms, sleep_for(1h));
    EXPECT_EQ(late.error(), Errc::timed_out);
    burn(20ms);
  };
  const auto slow_after_input = [&]() -> Task<> {
    expected.push_back(__LINE__ + 1);
    const Result<> ready = co_await readable(pipe.near.get());
    EXPECT_TRUE(ready);
    burn(20ms);
  };
  EXPECT_TRUE(run(loop, slow_after_a_sleep()));
  EXPECT_TRUE(run(loop, slow_after_a_timeout()));
  EXPECT_TRUE(run(loop, slow_after_input()));
  EXPECT_EQ(lines, expected);
}

INSTANTIATE_TEST_SUITE_P(Backends, Waiting, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
