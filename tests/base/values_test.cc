// SPDX-License-Identifier: MIT
// The small value types of base/: descriptors, time, lists, buffers, counters.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/clock.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/base/intrusive_list.h"
#include "reactor/base/stats.h"
#include "reactor/base/unique_fd.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(UniqueFd, ClosesOnce) {
  FdPair pipe = make_pipe();
  const int number = pipe.near.get();
  {
    const UniqueFd owner = std::move(pipe.near);
    EXPECT_FALSE(pipe.near);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(owner.get(), number);
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, ReleaseGivesItUp) {
  FdPair pipe = make_pipe();
  const int number = pipe.near.release();
  EXPECT_EQ(pipe.near.get(), -1);
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(UniqueFd, ResetAndAssignmentCloseTheOldOne) {
  FdPair first = make_pipe();
  FdPair second = make_pipe();
  const int near = first.near.get(), far = first.far.get();
  first.near = std::move(second.near);
  first.far.reset();
  EXPECT_FALSE(is_open(near));
  EXPECT_FALSE(is_open(far));
  EXPECT_TRUE(first.near);
}

TEST(UniqueFd, AssigningItselfKeepsItOpen) {
  FdPair pipe = make_pipe();
  UniqueFd& alias = pipe.near;
  pipe.near = std::move(alias);
  EXPECT_TRUE(is_open(pipe.near.get()));
}

TEST(UniqueFd, NumberZeroIsADescriptor) {
  UniqueFd zero(0);
  EXPECT_TRUE(zero);
  EXPECT_EQ(zero.release(), 0);
  EXPECT_FALSE(UniqueFd());
}

TEST(Descriptors, BecomePrivate) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  for (const int fd : ends) {
    EXPECT_TRUE(make_private(fd));
    EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_FALSE(make_private(-1));
}

TEST(Clock, AdditionSaturates) {
  constexpr TimePoint kStart{std::chrono::hours(1)};
  static_assert(saturating_add(kStart, kForever) == TimePoint::max());
  static_assert(saturating_add(TimePoint::max(), Duration(1)) == TimePoint::max());
  static_assert(saturating_add(kStart, TimePoint::max() - kStart) == TimePoint::max());
  static_assert(saturating_add(kStart, TimePoint::max() - kStart - Duration(1)) ==
                TimePoint::max() - Duration(1));
  EXPECT_EQ(saturating_add(kStart, Duration(5)) - kStart, Duration(5));
}

TEST(Clock, NegativeDelaysCountAsZero) {
  constexpr TimePoint kStart{std::chrono::hours(1)};
  static_assert(saturating_add(kStart, Duration(-1)) == kStart);
  static_assert(saturating_add(kStart, Duration::min()) == kStart);
  EXPECT_EQ(saturating_add(kStart, Duration::zero()), kStart);
}

TEST(Clock, RunsForwards) {
  TimePoint before = monotonic_now();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = monotonic_now();
    ASSERT_GE(now, before);
    before = now;
  }
}

TEST(LagHistogram, BucketsArePowersOfTwoOfAMicrosecond) {
  LagHistogram histogram;
  histogram.record(0);
  histogram.record(999);   // below 1 us
  histogram.record(1000);  // below 2 us
  histogram.record(1999);
  histogram.record(2000);     // below 4 us
  histogram.record(1000000);  // 1 ms: below 1024 us
  EXPECT_EQ(histogram.buckets[0].get(), 2U);
  EXPECT_EQ(histogram.buckets[1].get(), 2U);
  EXPECT_EQ(histogram.buckets[2].get(), 1U);
  EXPECT_EQ(histogram.buckets[10].get(), 1U);
}

TEST(LagHistogram, TheLastBucketTakesTheRest) {
  LagHistogram histogram;
  histogram.record(~std::uint64_t{0});
  histogram.record(std::uint64_t{1000} << 40);
  EXPECT_EQ(histogram.buckets.back().get(), 2U);
}

TEST(Counter, AddsAndSets) {
  Counter counter;
  counter.add();
  counter.add(41);
  EXPECT_EQ(counter.get(), 42U);
  counter.set(7);
  EXPECT_EQ(counter.get(), 7U);
}

struct Item : ListLink {
  explicit Item(int number) : value(number) {}
  int value;
};

std::vector<int> values_of(IntrusiveList& list) {
  std::vector<int> values;
  for (ListLink* at = list.first(); at != nullptr; at = list.after(*at)) {
    values.push_back(static_cast<Item&>(*at).value);
  }
  return values;
}

TEST(IntrusiveList, KeepsTheOrderOfAppending) {
  std::array items{Item(1), Item(2), Item(3)};
  IntrusiveList list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.first(), nullptr);
  for (Item& item : items) list.append(item);
  EXPECT_EQ(values_of(list), (std::vector{1, 2, 3}));
  items[1].unlink();
  items[1].unlink();
  EXPECT_FALSE(items[1].linked());
  EXPECT_EQ(values_of(list), (std::vector{1, 3}));
  for (Item& item : items) item.unlink();
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, SpliceMovesAllBehind) {
  std::array items{Item(1), Item(2), Item(3)};
  IntrusiveList front, back, nothing;
  front.append(items[0]);
  back.append(items[1]);
  back.append(items[2]);
  front.splice(back);
  front.splice(nothing);
  EXPECT_TRUE(back.empty());
  EXPECT_EQ(values_of(front), (std::vector{1, 2, 3}));
  nothing.splice(front);
  EXPECT_EQ(values_of(nothing), (std::vector{1, 2, 3}));
  for (Item& item : items) item.unlink();
}

std::string text_of(ByteBuffer& buffer) {
  const auto bytes = buffer.data();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(ByteBuffer, IsAFifo) {
  ByteBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  buffer.append(bytes_of("hello "));
  buffer.append(bytes_of(""));
  buffer.append(bytes_of("world"));
  buffer.consume(6);
  EXPECT_EQ(text_of(buffer), "world");
  buffer.consume(100);
  EXPECT_TRUE(buffer.empty());
}

TEST(ByteBuffer, ReserveAndCommit) {
  ByteBuffer buffer;
  const auto room = buffer.reserve(10);
  ASSERT_GE(room.size(), 10U);
  std::fill_n(room.begin(), 3, std::byte{'z'});
  buffer.commit(3);
  EXPECT_EQ(text_of(buffer), "zzz");
}

// Many slow peers have such a buffer. A few bytes left at the front must not make the next append
// allocate twice as much.
TEST(ByteBuffer, TakesNoMoreThanTwiceWhatItHolds) {
  ByteBuffer buffer;
  const std::string text(8192, 'x');
  buffer.append(bytes_of(text));
  for (int round = 0; round < 10; ++round) {
    buffer.consume(buffer.size() - 10);
    buffer.append(bytes_of(text));
    EXPECT_LE(buffer.size() + buffer.reserve(0).size(), buffer.size() + 1024);
  }
  for (int step = 0; step < 1000; ++step) {
    buffer.append(bytes_of("0123456789"));
    EXPECT_LE(buffer.size() + buffer.reserve(0).size(), 2 * buffer.size());
  }
}

// Compares the buffer with a plain string, with random sizes.
TEST(ByteBuffer, BehavesAsAString) {
  std::mt19937 random(1);
  ByteBuffer buffer;
  std::string model;
  for (int step = 0; step < 2000; ++step) {
    const std::size_t size = random() % 3000;
    if (random() % 2 == 0) {
      const std::string text(size, static_cast<char>('a' + step % 26));
      buffer.append(bytes_of(text));
      model += text;
    } else {
      const std::size_t used = std::min(size, model.size());
      buffer.consume(used);
      model.erase(0, used);
    }
    ASSERT_EQ(buffer.size(), model.size());
    if (step % 50 == 0) {
      ASSERT_EQ(text_of(buffer), model);
    }
  }
}

}  // namespace
}  // namespace reactor
