// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/loop/loop.h"
#include "tests/support/libkqueue.h"
#include "tests/support/pipes.h"
#include "tests/support/run.h"

namespace reactor {

// Returns whether the backend keeps a set of descriptors in the kernel that can go wrong: it may
// still have a descriptor that the loop has dropped. select keeps no set, and libkqueue learns of
// each close.
inline bool can_rebuild(const Loop& loop) {
  return loop.backend() != Backend::select && !on_libkqueue(loop.backend());
}

// Makes the loop rebuild the kernel's set if can_rebuild(). To this end, announces that a watched
// descriptor is about to be closed, but keeps it open, so that the kernel goes on reporting it.
inline void provoke_rebuild(Loop& loop) {
  struct Keeper final : PollTarget {
    explicit Keeper(int fd) : PollTarget(fd) {}
    void on_ready(Ready) override { FAIL() << "detached"; }
  };
  const std::uint64_t before = loop.stats().rebuilds.get();
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  Keeper keeper(pipe.near.get());
  ASSERT_TRUE(loop.attach(keeper, Interest::read));
  loop.detach(keeper, Detach::closing);
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.stats().rebuilds.get() - before, can_rebuild(loop) ? 1U : 0U);
}

}  // namespace reactor
