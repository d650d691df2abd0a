// SPDX-License-Identifier: MIT
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <thread>
#include <vector>

#include "tests/poller/poller_test.h"

namespace reactor {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class PollerWait : public PollerTest {};

TEST_P(PollerWait, NeverEarly) {
  for (const Duration timeout : {Duration(milliseconds(3)), Duration(microseconds(1234)),
                                 Duration(microseconds(50)), Duration(1)}) {
    const TimePoint before = monotonic_now();
    EXPECT_TRUE(wait(timeout).empty());
    EXPECT_GE(monotonic_now() - before, timeout);
  }
}

// Takes the best of many waits, because the machine may be busy.
TEST_P(PollerWait, PreciseBelowAMillisecond) {
  Duration best = kForever;
  for (int turn = 0; turn < 50; ++turn) {
    const TimePoint before = monotonic_now();
    EXPECT_TRUE(wait(microseconds(100)).empty());
    best = std::min(best, monotonic_now() - before);
  }
  EXPECT_LT(best, milliseconds(1));
}

TEST_P(PollerWait, ZeroDoesNotWait) {
  const TimePoint before = monotonic_now();
  for (int turn = 0; turn < 100; ++turn) EXPECT_TRUE(wait(kAtOnce).empty());
  EXPECT_LT(monotonic_now() - before, seconds(5));
}

// None of these timeouts wraps around to "now", and none is refused. A signal ends the wait without
// an error.
TEST_P(PollerWait, HugeTimeoutsWaitUntilASignal) {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &ignore, &before), 0);
  for (const Duration timeout :
       {kForever, kForever - Duration(1), Duration(milliseconds(INT_MAX)) + milliseconds(1),
        Duration(hours(24 * 365 * 200)), Duration(seconds(UINT_MAX))}) {
    const TimePoint start = monotonic_now();
    // The alarm repeats, because the first one may come before the wait.
    const itimerval alarm{{0, 5000}, {0, 5000}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &alarm, nullptr), 0);
    EXPECT_TRUE(wait(timeout).empty());
    EXPECT_GE(monotonic_now() - start, milliseconds(4));
  }
  const itimerval off{};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &off, nullptr), 0);
  ASSERT_EQ(::sigaction(SIGALRM, &before, nullptr), 0);
}

TEST_P(PollerWait, HugeTimeoutsEndWithAnEvent) {
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  for (const Duration timeout :
       {kForever, kForever - Duration(1), Duration(hours(24 * 365 * 50))}) {
    std::thread writer([&] { write_text(pipe.far.get(), "x"); });
    EXPECT_EQ(wait(timeout), (Batch{{1, Interest::read}}));
    writer.join();
    EXPECT_EQ(read_text(pipe.near.get()), "x");
  }
}

// Another thread writes while the poller sleeps, or before. No wake-up is lost.
TEST_P(PollerWait, WritesFromAThreadAlwaysWake) {
  const FdPair pipe = make_pipe();
  const FdPair back = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  constexpr int kRounds = 300;
  std::thread writer([&] {
    for (int round = 0; round < kRounds; ++round) {
      write_text(pipe.far.get(), "x");
      pollfd answer{back.near.get(), POLLIN, 0};
      int ready = 0;
      do {
        ready = ::poll(&answer, 1, 10'000);
      } while (ready < 0 && errno == EINTR);
      if (ready != 1) return;
      static_cast<void>(read_text(back.near.get()));
    }
  });
  int woken = 0;
  while (woken < kRounds && wait(kPatience) == Batch{{1, Interest::read}} &&
         read_text(pipe.near.get()) == "x") {
    write_text(back.far.get(), "y");
    ++woken;
  }
  EXPECT_EQ(woken, kRounds);
  writer.join();
}

TEST_P(PollerWait, BackendDescriptorIsReadableWhileEventsWait) {
  const int inner = poller().backend_fd();
  if (inner < 0) {
    EXPECT_TRUE(GetParam() == Backend::select || on_libkqueue(GetParam()));
    GTEST_SKIP() << "this backend has no descriptor to wait for";
  }
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  pollfd entry{inner, POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
  write_text(pipe.far.get(), "x");
  EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
  EXPECT_EQ(wait(), (Batch{{1, Interest::read}}));
  EXPECT_EQ(read_text(pipe.near.get()), "x");
  EXPECT_EQ(::poll(&entry, 1, 0), 0);
}

TEST_P(PollerWait, NestsInAnother) {
  if (poller().backend_fd() < 0) GTEST_SKIP() << "this backend has no descriptor to wait for";
  const Result<std::unique_ptr<Poller>> outer = make_poller(GetParam());
  ASSERT_TRUE(outer);
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  ASSERT_FALSE((*outer)->add(poller().backend_fd(), Interest::read, token_number(9)));
  EXPECT_TRUE(wait_on(**outer, kAtOnce).empty());
  write_text(pipe.far.get(), "x");
  EXPECT_EQ(wait_on(**outer, kPatience), (Batch{{9, Interest::read}}));
  EXPECT_EQ(wait(), (Batch{{1, Interest::read}}));
}

// If the backend grants edges, each write is reported once although nothing is read. Otherwise
// Trigger::edge has no effect.
TEST_P(PollerWait, EdgesAreGrantedOrLevels) {
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(poller().add(pipe.near.get(), Interest::read, token_number(1), Trigger::edge));
  const Batch again = poller().edge_triggered() ? Batch{} : Batch{{1, Interest::read}};
  for (int round = 0; round < 3; ++round) {
    write_text(pipe.far.get(), "x");
    EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read}}));
    EXPECT_EQ(wait(), again);
  }
}

class PollerCrowd : public PollerTest {
 protected:
  static constexpr std::uint32_t kCount = 5000;

  PollerCrowd() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit wanted = before_;
    wanted.rlim_cur = std::max<rlim_t>(before_.rlim_cur, kCount + 200);
    enough_ = wanted.rlim_cur <= wanted.rlim_max && ::setrlimit(RLIMIT_NOFILE, &wanted) == 0;
  }
  ~PollerCrowd() override {
    copies_.clear();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }

  void add_copies(const UniqueFd& of) {
    for (std::uint32_t number = 0; number < kCount; ++number) {
      copies_.emplace_back(::dup(of.get()));
      ASSERT_TRUE(copies_.back()) << number;
      ASSERT_FALSE(add(copies_.back(), Interest::read, number)) << number;
    }
  }

  [[nodiscard]] bool enough() const { return enough_; }
  std::vector<UniqueFd> copies_;

 private:
  rlimit before_{};
  bool enough_ = false;
};

// Numbers beyond FD_SETSIZE (1024) work like others. Each descriptor is reported after at most two
// rounds.
TEST_P(PollerCrowd, FiveThousandReadyDescriptorsAreAllServed) {
  if (!enough()) GTEST_SKIP() << "the hard limit of descriptors is too low";
  const FdPair pipe = make_pipe();
  ASSERT_NO_FATAL_FAILURE(add_copies(pipe.near));
  EXPECT_GT(copies_.back().get(), 4096);
  EXPECT_TRUE(wait().empty());
  write_text(pipe.far.get(), "x");
  constexpr std::size_t kRoom = 512;
  Batch seen;
  for (std::size_t round = 0; round < 2 * (kCount / kRoom + 1); ++round) {
    seen.merge(wait_on(poller(), kPatience, kRoom));
  }
  EXPECT_EQ(seen.size(), kCount);
}

TEST_P(PollerCrowd, OneAmongFiveThousandIsFound) {
  if (!enough()) GTEST_SKIP() << "the hard limit of descriptors is too low";
  const FdPair silent = make_pipe();
  ASSERT_NO_FATAL_FAILURE(add_copies(silent.near));
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, kCount));
  write_text(pipe.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{kCount, Interest::read}}));
  EXPECT_FALSE(poller().remove(pipe.near.get(), Interest::read));
  EXPECT_TRUE(wait().empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, PollerWait, ::testing::ValuesIn(available_backends()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Backends, PollerCrowd, ::testing::ValuesIn(available_backends()),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace reactor
