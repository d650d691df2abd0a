// SPDX-License-Identifier: MIT
// G6: an exception that leaves a callback leaves run(). The loop stays usable; the rest of the
// batch and of the posted queue runs in the next run().
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/due_handle.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

class GuaranteesExceptions : public LoopTest {};
class GuaranteesExceptionsChild : public LoopTest {};

// Five handles are due, and each callback throws. This takes five runs, with one call each.
void each_throws_in_its_own_run(LoopOptions options, Kind kind) {
  SCOPED_TRACE(to_string(kind));
  Loop loop(std::move(options));
  std::vector<std::unique_ptr<DueHandle>> handles(5);
  int calls = 0;
  for (auto& handle : handles) {
    handle = make_due(loop, kind, [&] {
      ++calls;
      handle->stop();
      throw std::runtime_error("from a callback");
    });
  }
  for (int run = 1; run <= 5; ++run) {
    EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
    EXPECT_EQ(calls, run);
  }
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(calls, 5);
}

TEST_P(GuaranteesExceptions, G6_TheRestOfTheBatchRunsAtTheNextRun) {
  for (const Kind kind : kKindsWithoutChild) each_throws_in_its_own_run(options(), kind);
}

TEST_P(GuaranteesExceptionsChild, G6_TheRestOfTheBatchRunsAtTheNextRun) {
  each_throws_in_its_own_run(options(), Kind::child);
}

TEST_P(GuaranteesExceptions, G6_TheRestOfThePostedQueueKeepsItsOrder) {
  Loop loop(options());
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    loop.post([&order, i] {
      order.push_back(i);
      if (i % 2 == 0) throw i;  // throws an int here: any type can be thrown
    });
  }
  for (int run = 0; run < 3; ++run) EXPECT_THROW(static_cast<void>(loop.run()), int);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4, 5}));
}

TEST_P(GuaranteesExceptions, G6_PostsMadeMeanwhileComeBehindTheRest) {
  Loop loop(options());
  std::vector<int> order;
  loop.post([&] {
    order.push_back(1);
    throw std::runtime_error("first");
  });
  loop.post([&] { order.push_back(2); });
  EXPECT_THROW(static_cast<void>(loop.poll()), std::runtime_error);
  loop.post([&] { order.push_back(3); });
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_P(GuaranteesExceptions, G6_TimersKeepTheirOrder) {
  Loop loop(options());
  std::vector<int> order;
  std::vector<Timer> timers;
  for (int i = 0; i < 4; ++i) {
    timers.push_back(loop.after(Duration::zero(), [&order, i] {
      order.push_back(i);
      if (i == 1) throw std::runtime_error("second");
    }));
  }
  EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
  EXPECT_TRUE(loop.run());
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
}

// The phases after the one that threw still run.
TEST_P(GuaranteesExceptions, G6_LaterPhasesOfTheTurnAreNotLost) {
  for (const Kind thrower : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(thrower));
    Loop loop(options());
    std::unique_ptr<DueHandle> handle;
    int fired = 0, posted = 0, reads = 0;
    Timer timer = loop.after(Duration::zero(), [&] { ++fired; });
    std::unique_ptr<DueHandle> reader;
    reader = make_due(loop, Kind::io, [&] {
      ++reads;
      reader->stop();
    });
    loop.post([&] { ++posted; });
    handle = make_due(loop, thrower, [&] {
      handle->stop();
      throw std::runtime_error("early");
    });
    EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(fired, 1);
    EXPECT_EQ(posted, 1);
    EXPECT_EQ(reads, 1);
  }
}

TEST_P(GuaranteesExceptions, G6_APeriodicTimerThatThrowsGoesOn) {
  Loop loop(options());
  int calls = 0;
  Timer timer = loop.every(std::chrono::milliseconds(1), [&] {
    ++calls;
    throw std::runtime_error("again");
  });
  for (int run = 0; run < 3; ++run) {
    EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
  }
  EXPECT_EQ(calls, 3);
  EXPECT_TRUE(timer.active());
}

TEST_P(GuaranteesExceptions, G6_EveryRunModeLetsItThrough) {
  Loop loop(options());
  for (int mode = 0; mode < 3; ++mode) {
    Timer timer = loop.after(Duration::zero(), [] { throw std::logic_error("out"); });
    const auto run = [&] {
      return mode == 0 ? loop.run() : mode == 1 ? loop.run_once() : loop.poll();
    };
    EXPECT_THROW(static_cast<void>(run()), std::logic_error);
    EXPECT_TRUE(loop.current().kind.empty()) << "nobody runs any more";
    EXPECT_TRUE(loop.poll()) << "and the loop knows it";
  }
}

TEST_P(GuaranteesExceptions, G6_AHandleMayDestroyItselfAndThrow) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    std::unique_ptr<DueHandle> handle;
    handle = make_due(loop, kind, [&handle, text = std::string(100, 'x')] {
      handle.reset();
      throw std::runtime_error(text);
    });
    EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
    EXPECT_EQ(handle, nullptr);
    EXPECT_TRUE(loop.run());
  }
}

// The rest of a batch may be destroyed between two runs, as it may be inside a callback.
TEST_P(GuaranteesExceptions, G6_TheRestMayBeDestroyedInBetween) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    Loop loop(options());
    std::vector<std::unique_ptr<DueHandle>> handles(4);
    int calls = 0;
    for (auto& handle : handles) {
      handle = make_due(loop, kind, [&] {
        ++calls;
        throw std::runtime_error("first");
      });
    }
    EXPECT_THROW(static_cast<void>(loop.run()), std::runtime_error);
    handles.clear();
    EXPECT_TRUE(loop.run());
    EXPECT_EQ(calls, 1);
  }
}

TEST_P(GuaranteesExceptions, G6_TheLoopMayBeDestroyedWithTheRestUndone) {
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    auto loop = std::make_unique<Loop>(options());
    std::vector<std::unique_ptr<DueHandle>> handles(4);
    for (auto& handle : handles) {
      handle = make_due(*loop, kind, [] { throw std::runtime_error("first"); });
    }
    EXPECT_THROW(static_cast<void>(loop->run()), std::runtime_error);
    loop.reset();
    for (const auto& handle : handles) EXPECT_FALSE(handle->active());
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesExceptions, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, GuaranteesExceptionsChild, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
