// SPDX-License-Identifier: MIT
// G1: after stop() or destruction a callback never runs again, even if its event was already
// fetched. G2: a callback may destroy its own handle or any other, or close any descriptor that it
// owns; its callable outlives the call. G12: the end of the loop itself.
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/due_handle.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using Handles = std::vector<std::unique_ptr<DueHandle>>;

class GuaranteesEnd : public LoopTest {};
class GuaranteesEndChild : public LoopTest {};
class GuaranteesEndDeath : public LoopTest {};

enum class End { stop, destroy };

void end(std::unique_ptr<DueHandle>& handle, End how) {
  if (how == End::stop) {
    handle->stop();
    EXPECT_FALSE(handle->active());
  } else {
    handle.reset();
  }
}

// The first callback of the batch ends all other handles, whose events were fetched with its own.
void first_ends_the_rest(LoopOptions options, Kind kind, End how) {
  SCOPED_TRACE(std::string(to_string(kind)) + (how == End::stop ? " stop" : " destroy"));
  Loop loop(std::move(options));
  int calls = 0;
  Handles handles(5);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    handles[i] = make_due(loop, kind, [&, i] {
      ++calls;
      for (std::size_t other = 0; other < handles.size(); ++other) {
        if (other != i) end(handles[other], how);
      }
      if (kind == Kind::io) end(handles[i], how);
    });
  }
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesEnd, G1_NoCallbackAfterTheEndEvenForAFetchedEvent) {
  for (const Kind kind : kKindsWithoutChild) {
    first_ends_the_rest(options(), kind, End::stop);
    first_ends_the_rest(options(), kind, End::destroy);
  }
}

TEST_P(GuaranteesEndChild, G1_NoCallbackAfterTheEndEvenForAFetchedEvent) {
  first_ends_the_rest(options(), Kind::child, End::stop);
  first_ends_the_rest(options(), Kind::child, End::destroy);
}

TEST_P(GuaranteesEnd, G1_StoppedBeforeTheTurnNothingRuns) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    int calls = 0;
    Handles handles(2);
    for (auto& handle : handles) handle = make_due(loop, kind, [&] { ++calls; });
    end(handles[0], End::stop);
    end(handles[1], End::destroy);
    EXPECT_TRUE(loop.poll());
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(calls, 0);
  }
}

TEST_P(GuaranteesEnd, G1_PausedInTheSameBatchIsNotCalled) {
  Loop loop(options());
  std::array<FdPair, 2> pipes = {make_pipe(), make_pipe()};
  std::array<IoWatcher, 2> watchers;
  int calls = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    write_text(pipes[i].far.get(), "!");
    watchers[i] = get(loop.watch(pipes[i].near.get(), Interest::read, [&](Ready) {
      ++calls;
      for (IoWatcher& watcher : watchers) EXPECT_TRUE(watcher.set(Interest::none));
    }));
  }
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesEnd, G1_AnEarlierPhaseEndsALaterOne) {
  for (const Kind kind : {Kind::timer, Kind::signal}) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    int calls = 0;
    auto victim = make_due(loop, kind, [&] { ++calls; });
    auto killer = make_due(loop, Kind::io, [&] { victim.reset(); });
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(victim, nullptr);
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(calls, 0);
  }
}

TEST_P(GuaranteesEnd, G1_MovingAHandleKeepsItAlive) {
  Loop loop(options());
  int calls = 0;
  Timer first = loop.after(Duration::zero(), [&] { ++calls; });
  Timer second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(second.active());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesEnd, G1_AssignmentEndsTheOldHandle) {
  Loop loop(options());
  int old_calls = 0, new_calls = 0;
  Timer timer = loop.after(Duration::zero(), [&] { ++old_calls; });
  timer = loop.after(Duration::zero(), [&] { ++new_calls; });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(old_calls, 0);
  EXPECT_EQ(new_calls, 1);
}

// ---- G2 ----

// The callable holds text on the heap, so that a sanitizer sees it if the callable is destroyed too
// early.
void destroys_itself(LoopOptions options, Kind kind) {
  SCOPED_TRACE(to_string(kind));
  Loop loop(std::move(options));
  std::unique_ptr<DueHandle> handle;
  const auto witness = std::make_shared<std::string>("still here after the handle has gone");
  std::string seen;
  handle = make_due(loop, kind, [&handle, &seen, witness, text = *witness] {
    handle.reset();
    seen = text + *witness;
  });
  EXPECT_EQ(witness.use_count(), 2);
  ASSERT_TRUE(poll_until(loop, [&] { return !seen.empty(); }));
  EXPECT_EQ(seen, *witness + *witness);
  EXPECT_EQ(witness.use_count(), 1) << "the callable is destroyed when the call is over";
}

TEST_P(GuaranteesEnd, G2_ACallbackMayDestroyItsOwnHandle) {
  for (const Kind kind : kKindsWithoutChild) destroys_itself(options(), kind);
}

TEST_P(GuaranteesEndChild, G2_ACallbackMayDestroyItsOwnHandle) {
  destroys_itself(options(), Kind::child);
}

TEST_P(GuaranteesEnd, G2_ACallbackMayReplaceItsOwnHandle) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    int old_calls = 0, new_calls = 0;
    std::unique_ptr<DueHandle> handle;
    handle = make_due(loop, kind, [&] {
      ++old_calls;
      handle = make_due(loop, kind, [&] {
        ++new_calls;
        handle->stop();
      });
    });
    EXPECT_TRUE(poll_until(loop, [&] { return new_calls > 0; }));
    EXPECT_EQ(old_calls, 1);
    EXPECT_EQ(new_calls, 1);
  }
}

// A callback of every kind destroys handles of every kind: itself, the others, and all that is
// left.
TEST_P(GuaranteesEnd, G2_ACallbackMayDestroyEverything) {
  for (const Kind killer : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(killer));
    Loop loop(options());
    Handles handles;
    int calls = 0;
    for (int i = 0; i < 3; ++i) {
      for (const Kind kind : kKindsWithoutChild) {
        handles.push_back(make_due(loop, kind, [&, kind] {
          if (kind != killer) return;
          ++calls;
          handles.clear();
        }));
      }
    }
    EXPECT_TRUE(poll_until(loop, [&] { return calls > 0; }));
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(handles.empty());
  }
}

TEST_P(GuaranteesEnd, G2_ACallbackMayCloseAnyDescriptorItOwns) {
  Loop loop(options());
  std::array<FdPair, 3> pipes = {make_pipe(), make_pipe(), make_pipe()};
  std::array<IoWatcher, 3> watchers;
  int calls = 0;
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    write_text(pipes[i].far.get(), "!");
    watchers[i] = get(loop.watch(pipes[i].near.get(), Interest::read, [&](Ready) {
      ++calls;
      for (std::size_t other = 0; other < pipes.size(); ++other) {
        watchers[other] = IoWatcher();
        pipes[other].near.reset();
      }
    }));
  }
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(loop.poll());
  EXPECT_EQ(calls, 1);
}

TEST_P(GuaranteesEnd, G2_ACallbackMayStopTheLoopAndItsHandleMayDieAfterIt) {
  auto loop = std::make_unique<Loop>(options());
  int calls = 0;
  Timer timer = loop->after(Duration::zero(), [&] {
    ++calls;
    loop->stop();
  });
  EXPECT_TRUE(loop->run());
  loop.reset();
  EXPECT_FALSE(timer.active());
  EXPECT_EQ(calls, 1);
}

// The callable owns its own handle, as in a fire-and-forget timer.
TEST_P(GuaranteesEnd, G2_ACallableMayOwnItsHandle) {
  Loop loop(options());
  int calls = 0;
  auto box = std::make_shared<Timer>();
  *box = loop.after(Duration::zero(), [&calls, box] {
    ++calls;
    *box = Timer();
  });
  const std::weak_ptr<Timer> seen = box;
  box.reset();
  EXPECT_FALSE(seen.expired());
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(seen.expired());
}

// ---- G12: tests/coro/ownership_test.cc has what closures own ----

TEST_P(GuaranteesEnd, G12_CallablesEndWithTheLoopNotWithTheirHandles) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    auto loop = std::make_unique<Loop>(options());
    auto owned = std::make_shared<int>(1);
    const std::weak_ptr<int> watched = owned;
    const auto handle = make_due(*loop, kind, [owned = std::move(owned)] {});
    EXPECT_FALSE(watched.expired());
    loop.reset();
    EXPECT_TRUE(watched.expired());
    EXPECT_FALSE(handle->active());
  }
}

TEST_P(GuaranteesEndDeath, G12_ALoopThatIsDestroyedInItsOwnCallbackSaysSo) {
  const auto destroy_in = [](Kind kind) {
    auto loop = std::make_unique<Loop>(options());
    const auto handle = make_due(*loop, kind, [&] { loop.reset(); });
    for (int turn = 0; turn < 3 && loop->poll(); ++turn) {
    }
  };
  for (const Kind kind : kKindsWithoutChild) {
    EXPECT_DEATH(destroy_in(kind), "a Loop was destroyed inside one of its own callbacks");
  }
  EXPECT_DEATH(
      {
        auto loop = std::make_unique<Loop>(options());
        loop->post([&] { loop.reset(); });
        static_cast<void>(loop->poll());
      },
      "a Loop was destroyed inside one of its own callbacks");
}

// The loop is destroyed by exit(), like a global object of a small program.
TEST_P(GuaranteesEndDeath, G12_ACallbackMayCallExitInAProgramWithAStaticLoop) {
  const auto exit_in = [](Kind kind) {
    static Loop loop(options());
    const auto handle = make_due(loop, kind, [] { std::exit(7); });
    for (int turn = 0; turn < 3 && loop.poll(); ++turn) {
    }
  };
  for (const Kind kind : kKindsWithoutChild) {
    EXPECT_EXIT(exit_in(kind), testing::ExitedWithCode(7), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesEnd, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesEndDeath, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesEndChild, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
