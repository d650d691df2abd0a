// SPDX-License-Identifier: MIT
#include <sys/socket.h>
#include <unistd.h>

#include "tests/poller/poller_test.h"

namespace reactor {
namespace {

class PollerReadiness : public PollerTest {};

TEST_P(PollerReadiness, WhatIsNotConsumedComesAgain) {
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  write_text(pipe.far.get(), "xy");
  for (int turn = 0; turn < 3; ++turn) EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read}}));
  EXPECT_EQ(read_text(pipe.near.get()), "xy");
  EXPECT_TRUE(wait().empty());
}

TEST_P(PollerReadiness, WritableUntilFull) {
  const FdPair pair = make_socket_pair();
  ASSERT_FALSE(add(pair.near, Interest::write, 1));
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::write}}));
  fill(pair.near.get());
  EXPECT_TRUE(wait().empty());
  while (!read_text(pair.far.get()).empty()) {
  }
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::write}}));
}

// Both directions come as one event, even if the kernel returns two.
TEST_P(PollerReadiness, BothDirectionsAreOneEvent) {
  const FdPair first = make_socket_pair();
  const FdPair second = make_socket_pair();
  write_text(first.far.get(), "x");
  write_text(second.far.get(), "x");
  ASSERT_FALSE(add(first.near, Interest::read_write, 1));
  ASSERT_FALSE(add(second.near, Interest::read_write, 2));
  const Batch both{{1, Interest::read_write}, {2, Interest::read_write}};
  for (int turn = 0; turn < 3; ++turn) EXPECT_EQ(wait(kPatience), both);
}

TEST_P(PollerReadiness, NobodyIsToldWhatWasNotAsked) {
  const FdPair pair = make_socket_pair();
  ASSERT_FALSE(add(pair.near, Interest::read, 1));
  EXPECT_TRUE(wait().empty());  // it is writable
}

TEST_P(PollerReadiness, ClosedPipeIsReadable) {
  FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  pipe.far.reset();
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(wait_for(1, Interest::read, kPatience), Interest::read);
  }
}

// E3, A5: data and the end arrive together.
TEST_P(PollerReadiness, LastBytesComeBeforeTheEnd) {
  FdPair pair = make_tcp_pair();
  ASSERT_FALSE(add(pair.near, Interest::read, 1));
  write_text(pair.far.get(), "last");
  pair.far.reset();
  EXPECT_EQ(wait_for(1, Interest::read, kPatience), Interest::read);
  EXPECT_EQ(read_text(pair.near.get()), "last");
  EXPECT_EQ(wait_for(1, Interest::read, kPatience), Interest::read);
  EXPECT_EQ(read_text(pair.near.get()), "");
}

TEST_P(PollerReadiness, PipeThatNobodyReadsIsWritable) {
  FdPair pipe = make_pipe();
  fill(pipe.far.get());
  ASSERT_FALSE(add(pipe.far, Interest::write, 1));
  EXPECT_TRUE(wait().empty());
  pipe.near.reset();
  EXPECT_EQ(wait_for(1, Interest::write, kPatience), Interest::write);
}

// Some kernels refuse to watch such a pipe (EPIPE). The caller is to see the error when it writes.
TEST_P(PollerReadiness, PipeThatNobodyReadsAnyMoreCanBeAdded) {
  for (const Interest interest : {Interest::write, Interest::read_write}) {
    FdPair pipe = make_pipe();
    const int number = pipe.far.get();
    fill(number);
    pipe.near.reset();
    ASSERT_FALSE(add(pipe.far, interest, 1));
    for (int turn = 0; turn < 2; ++turn) {
      EXPECT_EQ(wait_for(1, Interest::write, kPatience), Interest::write);
    }
    EXPECT_FALSE(poller().modify(number, interest, Interest::write, token_number(1)));
    EXPECT_EQ(wait_for(1, Interest::write, kPatience), Interest::write);
    EXPECT_FALSE(poller().remove(number, Interest::write));
    EXPECT_TRUE(wait().empty());
  }
}

TEST_P(PollerReadiness, ResetIsReadableAndWritable) {
  for (const Interest interest : {Interest::read, Interest::write, Interest::read_write}) {
    FdPair pair = make_tcp_pair();
    fill(pair.near.get());
    ASSERT_FALSE(add(pair.near, interest, 1));
    EXPECT_TRUE(wait().empty());
    reset_on_close(pair.far.get());
    pair.far.reset();
    EXPECT_EQ(wait_for(1, interest, kPatience), interest);
    EXPECT_FALSE(poller().remove(pair.near.get(), interest));
  }
}

// A peer that has stopped writing may still read, so the descriptor is readable only.
TEST_P(PollerReadiness, HalfCloseIsReadableOnly) {
  const FdPair pair = make_tcp_pair();
  fill(pair.near.get());
  ASSERT_FALSE(add(pair.near, Interest::read_write, 1));
  ASSERT_EQ(::shutdown(pair.far.get(), SHUT_WR), 0);
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read}}));
}

TEST_P(PollerReadiness, GonePeerIsReadableAndWritable) {
  FdPair pair = make_socket_pair();
  ASSERT_FALSE(add(pair.near, Interest::read_write, 1));
  pair.far.reset();
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read_write}}));
}

TEST_P(PollerReadiness, SmallBatchesServeAll) {
  std::vector<FdPair> pairs;
  for (std::uint32_t number = 0; number < 150; ++number) {
    pairs.push_back(make_socket_pair());
    write_text(pairs.back().far.get(), "x");
    ASSERT_FALSE(add(pairs.back().near, Interest::read_write, number));
  }
  Batch seen;
  for (int turn = 0; turn < 9 && seen.size() < pairs.size(); ++turn) {
    for (const auto& [number, bits] : wait_on(poller(), kPatience, 64)) {
      seen[number] = seen[number] | bits;
    }
  }
  EXPECT_EQ(seen.size(), pairs.size());
}

INSTANTIATE_TEST_SUITE_P(Backends, PollerReadiness, ::testing::ValuesIn(available_backends()),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace reactor
