// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/loop/loop.h"
#include "tests/support/pipes.h"
#include "tests/support/run.h"

namespace reactor {

// Makes the loop rebuild the kernel's set: something says that its descriptor is about to be
// closed, and keeps it, so that the kernel goes on reporting it. Nothing happens with select, which
// has no set in the kernel.
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
  EXPECT_EQ(loop.stats().rebuilds.get() - before, loop.backend() == Backend::select ? 0U : 1U);
}

}  // namespace reactor
