// SPDX-License-Identifier: MIT
// stats(), counts(), dump(), current(), and the reports of slow callbacks.
#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/due_handle.h"
#include "tests/support/fork.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class Introspection : public LoopTest {};
class IntrospectionChild : public LoopTest {};
class SlowCallbacks : public LoopTest {};

std::string dump(const Loop& loop) {
  std::ostringstream out;
  loop.dump(out);
  return out.str();
}

TEST_P(Introspection, DumpNamesEachHandleWithThePlaceThatMadeIt) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  const unsigned line = __LINE__;
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [](Ready) {}));
  Timer timer = loop.after(milliseconds(1), [] {});
  SignalWatcher signal = get(loop.on_signal(SIGUSR1, [] {}));
  Deferred deferred = loop.deferred([] {});
  const std::string text = dump(loop);
  for (unsigned i = 1; i <= 4; ++i) {
    EXPECT_NE(text.find("introspection_test.cc:" + std::to_string(line + i)), std::string::npos)
        << text;
  }
  EXPECT_NE(text.find("io " + std::to_string(pipe.near.get()) + " "), std::string::npos) << text;
  EXPECT_NE(text.find("signal " + std::to_string(SIGUSR1) + " "), std::string::npos) << text;
  EXPECT_NE(text.find("timer"), std::string::npos);
  EXPECT_NE(text.find("deferred"), std::string::npos);
  EXPECT_NE(text.find("age "), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4) << "nothing of the loop's own:\n"
                                                           << text;
}

TEST_P(Introspection, DumpOfAnEmptyLoopIsEmpty) {
  Loop loop(options());
  EXPECT_EQ(dump(loop), "");
}

TEST_P(Introspection, CountsFollowTheHandles) {
  Loop loop(options());
  FdPair pipe = make_pipe();
  {
    IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [](Ready) {}));
    Timer first = loop.timer([] {});
    Timer second = loop.timer([] {});
    Timer moved = std::move(second);
    SignalWatcher signal = get(loop.on_signal(SIGUSR1, [] {}));
    Deferred deferred = loop.deferred([] {});
    const HandleCounts counts = loop.counts();
    EXPECT_EQ(counts.io, 1U);
    EXPECT_EQ(counts.timers, 2U);
    EXPECT_EQ(counts.signals, 1U);
    EXPECT_EQ(counts.deferred, 1U);
    EXPECT_EQ(counts.children, 0U);
    EXPECT_EQ(counts.transports, 0U);
  }
  const HandleCounts counts = loop.counts();
  EXPECT_EQ(counts.io + counts.timers + counts.signals + counts.deferred, 0U);
}

TEST_P(IntrospectionChild, ChildWatchersAreCountedAndDumped) {
  Loop loop(options());
  const pid_t pid = spawn_sleeper();
  {
    ChildWatcher watcher = get(loop.on_exit(pid, [](ExitStatus) {}));
    EXPECT_EQ(loop.counts().children, 1U);
    EXPECT_NE(dump(loop).find("child " + std::to_string(pid)), std::string::npos);
  }
  EXPECT_EQ(loop.counts().children, 0U);
  ::kill(pid, SIGKILL);
  wait_for_child(pid);
}

TEST_P(Introspection, StatsCountWhatHappens) {
  LoopStats stats;
  LoopOptions chosen = options();
  chosen.stats = &stats;
  Loop loop(std::move(chosen));
  EXPECT_EQ(&loop.stats(), &stats) << "placed by the caller";
  FdPair pipe = make_pipe();
  IoWatcher watcher = get(loop.watch(pipe.near.get(), Interest::read, [&](Ready) {}));
  Timer timer = loop.after(Duration::zero(), [] {});
  write_text(pipe.far.get(), "!");
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(stats.turns.get(), 1U);
  EXPECT_EQ(stats.events.get(), 1U);
  EXPECT_EQ(stats.timers.get(), 1U);
  EXPECT_EQ(stats.posted.get(), 0U);
  for (int i = 0; i < 3; ++i) loop.post([] {});
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(stats.turns.get(), 2U);
  EXPECT_EQ(stats.posted.get(), 3U);
  EXPECT_EQ(stats.stale.get(), 0U);
  EXPECT_EQ(stats.slow.get(), 0U);
}

TEST_P(Introspection, AnEventForAHandleThatEndedIsCountedAsStale) {
  Loop loop(options());
  std::vector<std::unique_ptr<DueHandle>> handles(3);
  for (auto& handle : handles) handle = make_due(loop, Kind::io, [&] { handles.clear(); });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.stats().stale.get(), 2U);
  EXPECT_EQ(loop.stats().rebuilds.get(), 0U) << "no reason to";
}

TEST_P(Introspection, TheHistogramShowsWhatCallbacksTook) {
  EXPECT_TRUE(once_undisturbed([] {
    Loop loop(options());
    Timer timer = loop.after(Duration::zero(), [] { burn(milliseconds(5)); });
    Timer after = loop.after(milliseconds(1), [] {});
    EXPECT_TRUE(run_to_end(loop));
    EXPECT_TRUE(loop.poll());
    std::uint64_t above = 0;  // calls that took 4096 us or more
    const LagHistogram& busy = loop.stats().busy;
    for (std::size_t i = 13; i < LagHistogram::kBuckets; ++i) above += busy.buckets[i].get();
    EXPECT_GE(above, 1U);
    return above == 1;
  }));
}

TEST_P(Introspection, CurrentNamesWhoRuns) {
  Loop loop(options());
  EXPECT_TRUE(loop.current().kind.empty());
  for (const Kind kind : kKindsWithoutChild) {
    SCOPED_TRACE(to_string(kind));
    int calls = 0;
    std::unique_ptr<DueHandle> handle;
    handle = make_due(loop, kind, [&] {
      ++calls;
      const HandleInfo info = loop.current();
      EXPECT_EQ(info.kind, to_string(kind));
      EXPECT_NE(std::string(info.where.file_name()).find("due_handle.cc"), std::string::npos);
      EXPECT_NE(info.created, TimePoint{});
      handle.reset();
      EXPECT_EQ(loop.current().kind, to_string(kind)) << "its callback still runs";
      EXPECT_EQ(loop.current().where.line(), info.where.line());
    });
    EXPECT_TRUE(poll_until(loop, [&] { return calls > 0; }));
    EXPECT_TRUE(loop.current().kind.empty());
  }
}

TEST_P(Introspection, CurrentNamesAPostedCall) {
  Loop loop(options());
  std::string kind;
  loop.post([&] { kind = loop.current().kind; });
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(kind, "posted call");
}

// ---- slow callbacks ----

struct Report {
  std::string kind, file;
  unsigned line = 0;
  Duration took{0};
};

class SlowLoop {
 public:
  explicit SlowLoop(LoopOptions options) {
    options.slow_callback = milliseconds(20);
    options.on_slow = [this](const HandleInfo& who, Duration took) {
      reports.push_back({std::string(who.kind), who.where.file_name(), who.where.line(), took});
    };
    loop.emplace(std::move(options));
  }
  std::vector<Report> reports;
  LogCapture log;
  std::optional<Loop> loop;
};

TEST_P(SlowCallbacks, ABatchOfOneNamesItsCulpritAtOnce) {
  SlowLoop slow(options());
  Loop& loop = *slow.loop;
  const unsigned line = __LINE__ + 1;
  Timer timer = loop.after(Duration::zero(), [] { burn(milliseconds(30)); });
  EXPECT_TRUE(loop.run());
  EXPECT_TRUE(loop.poll());
  ASSERT_EQ(slow.reports.size(), 1U);
  EXPECT_EQ(slow.reports[0].kind, "timer");
  EXPECT_NE(slow.reports[0].file.find("introspection_test.cc"), std::string::npos);
  EXPECT_EQ(slow.reports[0].line, line);
  EXPECT_GE(slow.reports[0].took, milliseconds(30));
  EXPECT_EQ(loop.stats().slow.get(), 1U);
  EXPECT_TRUE(slow.log.contains("introspection_test.cc:" + std::to_string(line)));
}

// A host that calls poll() gets these reports, too, because each poll() is a batch.
TEST_P(SlowCallbacks, TheyAreReportedInEveryRunMode) {
  for (int mode = 0; mode < 3; ++mode) {
    SlowLoop slow(options());
    Loop& loop = *slow.loop;
    Timer timer = loop.after(Duration::zero(), [] { burn(milliseconds(30)); });
    EXPECT_TRUE(mode == 0 ? loop.run() : mode == 1 ? loop.run_once() : loop.poll());
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(slow.reports.size(), 1U) << "mode " << mode;
  }
}

TEST_P(SlowCallbacks, InABatchOfManyTheCulpritIsNamedWhenItStrikesAgain) {
  const auto attempt = [] {
    SlowLoop slow(options());
    Loop& loop = *slow.loop;
    std::vector<Timer> innocents;
    for (int i = 0; i < 5; ++i) innocents.push_back(loop.every(milliseconds(1), [] {}));
    const unsigned line = __LINE__ + 1;
    Timer guilty = loop.every(milliseconds(1), [] { burn(milliseconds(30)); });
    EXPECT_TRUE(run_bounded(loop, [&] { return slow.reports.size() >= 3; }));
    return slow.reports[0].kind.empty() &&  // no single callback was timed yet
           slow.reports[1].line == line && slow.reports[2].line == line &&
           slow.reports[1].took >= milliseconds(30);
  };
  EXPECT_TRUE(once_undisturbed(attempt));
}

TEST_P(SlowCallbacks, ACulpritThatDestroyedItselfIsNamed) {
  // Each of these kinds makes a batch of one call.
  for (const Kind kind : {Kind::io, Kind::timer, Kind::deferred}) {
    SCOPED_TRACE(to_string(kind));
    SlowLoop slow(options());
    Loop& loop = *slow.loop;
    std::unique_ptr<DueHandle> handle;
    handle = make_due(loop, kind, [&handle] {
      handle.reset();
      burn(milliseconds(25));
    });
    EXPECT_TRUE(poll_until(loop, [&] { return handle == nullptr; }));
    EXPECT_TRUE(loop.poll());
    ASSERT_EQ(slow.reports.size(), 1U);
    EXPECT_EQ(slow.reports[0].kind, to_string(kind));
    EXPECT_NE(slow.reports[0].file.find("due_handle.cc"), std::string::npos);
  }
}

// A node and a target as in a transport. They delete themselves before the rest of their callback
// runs.
class BriefNode final : public TimerNode {
 public:
  explicit BriefNode(Callback<void()> then) : then_(std::move(then)) {}
  void on_expire() override {
    Callback<void()> then = std::move(then_);
    delete this;
    then();
  }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"brief", 7, {}, {}}; }

 private:
  Callback<void()> then_;
};

class BriefTarget final : public PollTarget {
 public:
  BriefTarget(Loop& loop, int fd, Callback<void()> then)
      : PollTarget(fd), loop_(loop), then_(std::move(then)) {}
  ~BriefTarget() { loop_.detach(*this, Detach::staying); }
  void on_ready(Ready) override {
    Callback<void()> then = std::move(then_);
    delete this;
    then();
  }
  [[nodiscard]] HandleInfo describe() const noexcept override { return {"brief", fd(), {}, {}}; }

 private:
  Loop& loop_;
  Callback<void()> then_;
};

TEST_P(SlowCallbacks, ATransportThatDestroyedItselfIsNamed) {
  SlowLoop slow(options());
  Loop& loop = *slow.loop;
  int calls = 0;
  const auto burn_long = [&] {
    ++calls;
    EXPECT_EQ(loop.current().kind, "brief");
    burn(milliseconds(25));
  };
  loop.arm(*new BriefNode(burn_long), TimePoint{});
  EXPECT_TRUE(poll_until(loop, [&] { return calls == 1; }));
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  ASSERT_TRUE(loop.attach(*new BriefTarget(loop, pipe.near.get(), burn_long), Interest::read));
  EXPECT_TRUE(poll_until(loop, [&] { return calls == 2; }));
  EXPECT_TRUE(loop.poll());
  ASSERT_EQ(slow.reports.size(), 2U);
  EXPECT_EQ(slow.reports[0].kind, "brief");
  EXPECT_EQ(slow.reports[1].kind, "brief");
}

TEST_P(SlowCallbacks, QuickOnesAndSleepAreNotReported) {
  EXPECT_TRUE(once_undisturbed([] {
    SlowLoop slow(options());
    Loop& loop = *slow.loop;
    Timer timer = loop.after(milliseconds(60), [] {});
    EXPECT_TRUE(loop.run());
    EXPECT_TRUE(loop.poll());
    return slow.reports.empty();
  })) << "waiting is no work";
}

TEST_P(SlowCallbacks, ZeroSwitchesThemOff) {
  LogCapture log;
  Loop loop(options());
  Timer timer = loop.after(Duration::zero(), [] { burn(milliseconds(120)); });
  EXPECT_TRUE(loop.run());
  EXPECT_TRUE(loop.poll());
  EXPECT_EQ(loop.stats().slow.get(), 0U);
  EXPECT_TRUE(log.lines().empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, Introspection, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, IntrospectionChild, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, SlowCallbacks, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
