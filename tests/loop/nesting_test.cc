// SPDX-License-Identifier: MIT
// A loop inside another one, which drives it by backend_fd() and next_timeout(). The outer one is a
// host that calls poll(2), or another Loop.
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

#include "reactor/base/error.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class Nesting : public LoopTest {};
class NestingPost : public LoopTest {};

// Does what a host loop does with a loop inside it. Returns whether poll(2) saw the loop become
// ready.
bool host_turn(Loop& loop, Duration limit) {
  pollfd waiting{loop.backend_fd().value(), POLLIN, 0};
  const Duration timeout = std::min(loop.next_timeout(), limit);
  const auto rounded = timeout + milliseconds(1) - Duration(1);
  const int ready = ::poll(&waiting, 1, static_cast<int>(rounded / milliseconds(1)));
  EXPECT_TRUE(loop.poll());
  return ready > 0;
}

template <class Predicate>
bool host_until(Loop& loop, Predicate done) {
  const TimePoint end = monotonic_now() + kLimit;
  while (!done() && monotonic_now() < end) host_turn(loop, end - monotonic_now());
  return done();
}

#define SKIP_WITHOUT_BACKEND_FD(loop)                                                   \
  if (const auto fd = (loop).backend_fd(); !fd) {                                       \
    EXPECT_EQ(fd.error(), Errc::not_supported);                                         \
    EXPECT_TRUE((loop).backend() == Backend::select || on_libkqueue((loop).backend())); \
    GTEST_SKIP() << to_string((loop).backend()) << " has no descriptor to nest";        \
  }

TEST_P(Nesting, AHostSeesReadiness) {
  Loop loop(options());
  SKIP_WITHOUT_BACKEND_FD(loop);
  FdPair pipe = make_pipe();
  int calls = 0;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) { ++calls; }));
  EXPECT_FALSE(host_turn(loop, Duration::zero()));
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(host_turn(loop, kLimit));
  EXPECT_EQ(calls, 1);
}

TEST_P(Nesting, AHostSleepsByNextTimeout) {
  Loop loop(options());
  SKIP_WITHOUT_BACKEND_FD(loop);
  int fired = 0;
  const TimePoint start = monotonic_now();
  Timer timer = loop.after(milliseconds(10), [&] { ++fired; });
  EXPECT_LE(loop.next_timeout(), milliseconds(11));
  EXPECT_TRUE(host_until(loop, [&] { return fired > 0; }));
  EXPECT_GE(monotonic_now() - start, milliseconds(10));
  EXPECT_EQ(loop.next_timeout(), kForever);
}

TEST_P(Nesting, AHostSeesWhatAPostedCallPosts) {
  Loop loop(options());
  SKIP_WITHOUT_BACKEND_FD(loop);
  int calls = 0;
  loop.post([&] { loop.post([&] { ++calls; }); });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 0) << "it waits a turn";
  EXPECT_TRUE(host_turn(loop, Duration::zero())) << "a host that only waits for backend_fd()";
  EXPECT_EQ(calls, 1);
}

TEST_P(Nesting, NextTimeoutIsZeroWhileWorkWaits) {
  Loop loop(options());
  EXPECT_EQ(loop.next_timeout(), kForever);
  int calls = 0;
  Deferred deferred = loop.deferred([&] { ++calls; });
  deferred.schedule();
  EXPECT_EQ(loop.next_timeout(), Duration::zero());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.next_timeout(), kForever);
  loop.post([&] { ++calls; });
  EXPECT_EQ(loop.next_timeout(), Duration::zero());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.next_timeout(), kForever);
  EXPECT_EQ(calls, 2);
}

TEST_P(Nesting, NextTimeoutIsZeroAfterAPostFromAPostedCall) {
  Loop loop(options());
  loop.post([&] { loop.post([] {}); });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.next_timeout(), Duration::zero());
}

TEST_P(Nesting, NextTimeoutIsZeroWhileABatchIsHalfDone) {
  Loop loop(options());
  Timer first = loop.after(Duration::zero(), [] { throw 1; });
  Timer second = loop.after(Duration::zero(), [] {});
  EXPECT_THROW(static_cast<void>(loop.poll()), int);
  EXPECT_EQ(loop.next_timeout(), Duration::zero());
}

TEST_P(NestingPost, AHostWakesForAPost) {
  Loop loop(options());
  SKIP_WITHOUT_BACKEND_FD(loop);
  for (int round = 0; round < 100; ++round) {
    int ran = 0;
    std::thread other([&] { loop.post([&] { ++ran; }); });
    EXPECT_TRUE(host_until(loop, [&] { return ran > 0; }));
    other.join();
    // A turn may run the call before post() has written the wake-up, which then wakes the next
    // turn.
    static_cast<void>(host_turn(loop, Duration::zero()));
    EXPECT_FALSE(host_turn(loop, Duration::zero())) << "once";
    EXPECT_EQ(ran, 1);
  }
}

TEST_P(Nesting, AHostWakesForASignal) {
  Loop loop(options());
  SKIP_WITHOUT_BACKEND_FD(loop);
  int calls = 0;
  SignalWatcher watcher = get(loop.on_signal(SIGUSR1, [&] { ++calls; }));
  ::raise(SIGUSR1);
  EXPECT_TRUE(host_turn(loop, kLimit));
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(host_turn(loop, Duration::zero()));
}

TEST_P(Nesting, ALoopCarriesAnotherLoop) {
  Loop outer(options());
  Loop inner(options());
  SKIP_WITHOUT_BACKEND_FD(inner);
  FdPair pipe = make_pipe();
  int calls = 0, fired = 0;
  IoWatcher watcher = get(inner.watch(pipe.near.get(), Interest::read, [&](Ready) {
    ++calls;
    static_cast<void>(read_text(pipe.near.get()));
  }));
  Timer inner_timer = inner.after(milliseconds(5), [&] { ++fired; });
  Timer timeout;
  const auto carry = [&] {
    EXPECT_TRUE(inner.poll());
    timeout.start(inner.next_timeout());
  };
  timeout = outer.timer(carry);
  IoWatcher carrier =
      get(outer.watch(get(inner.backend_fd()), Interest::read, [&](Ready) { carry(); }));
  timeout.start(inner.next_timeout());
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(run_bounded(outer, [&] { return calls > 0 && fired > 0; }));
  EXPECT_LE(run_for(outer, milliseconds(20)), 5) << "quiet when the inner one is";
}

TEST_P(Nesting, TheBackendFdChangesAtMostWhenTheSetIsRebuilt) {
  Loop loop(options());
  SKIP_WITHOUT_BACKEND_FD(loop);
  const int before = get(loop.backend_fd());
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(get(loop.backend_fd()), before);
}

INSTANTIATE_TEST_SUITE_P(Backends, Nesting, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, NestingPost, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
