// SPDX-License-Identifier: MIT
// What the crew decides, with time and processes played: no process is forked, none is waited for.
#include "reactor/prefork/crew.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"

namespace reactor::prefork {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Plays the kernel, and the workers' ends of the control sockets.
class PlayedCalls final : public ProcessCalls {
 public:
  static constexpr pid_t kFirst = 1000;

  pid_t fork(WorkerControl& worker) override {
    ++tries;
    errno = EAGAIN;
    if (refuse) return -1;
    const pid_t pid = kFirst + started++;
    workers.emplace(pid, std::move(worker));
    return pid;
  }
  void kill(pid_t pid, int number) noexcept override { signals[pid].push_back(number); }
  pid_t wait(pid_t pid, int& status) noexcept override {
    const auto found = dead.find(pid);
    if (found == dead.end()) return 0;
    status = found->second;
    return pid;
  }

  bool refuse = false;
  int tries = 0, started = 0;
  std::map<pid_t, WorkerControl> workers;
  std::map<pid_t, std::vector<int>> signals;
  std::map<pid_t, int> dead;
};

class CrewTest : public ::testing::Test {
 protected:
  static Plan plan(unsigned workers) {
    Plan result;
    result.workers = workers;
    result.timeout = seconds(4);
    result.graceful_timeout = seconds(10);
    return result;
  }
  void make(const Plan& first) {
    crew_.emplace(Crew::Generation{first, {}}, first.workers, *board_, clock_, calls_,
                  [](Process&, WorkerControl&, Crew::Generation&, SignalBlock&) {});
    turn();
  }
  void make_ready(const Plan& first) {
    make(first);
    for (unsigned slot = 0; slot < first.workers; ++slot) {
      ready(PlayedCalls::kFirst + static_cast<pid_t>(slot));
    }
    turn();
  }

  // What the master does in a turn.
  void turn() {
    crew_->advance();
    std::vector<pollfd> fds;
    crew_->add_to(fds);
    for (const pollfd& each : fds) {
      pollfd wait = each;
      if (::poll(&wait, 1, 0) > 0) crew_->read_control(wait.fd);
    }
    crew_->reap();
    crew_->look_after();
    crew_->advance();
  }
  // Time goes by in turns of 10 ms, in which these workers' loops turn.
  void pass(Duration time, const std::vector<pid_t>& lively = {}) {
    for (Duration done{}; done < time; done += milliseconds(10)) {
      clock_.plan(milliseconds(10));
      clock_.begin_turn(real_ += milliseconds(10));
      for (const pid_t pid : lively) beat(pid);
      turn();
    }
  }
  void pause(Duration time) {
    clock_.plan(milliseconds(10));
    clock_.begin_turn(real_ += time);
    turn();
  }
  // Seats are taken in order, and these tests free none before they look at another one's.
  void beat(pid_t pid) {
    board_->seat(static_cast<std::uint32_t>(pid - PlayedCalls::kFirst)).loop.turns.add();
  }
  void ready(pid_t pid) { EXPECT_TRUE(calls_.workers.at(pid).say_ready()); }
  void ask_for_successor(pid_t pid) { calls_.workers.at(pid).ask_for_successor(); }
  void die(pid_t pid, int status = 0x100) { calls_.dead[pid] = status; }
  // What the master said to a worker since the last look.
  std::vector<Message> heard(pid_t pid) {
    std::vector<Message> messages;
    while (auto message = calls_.workers.at(pid).receive().message) messages.push_back(*message);
    return messages;
  }
  static bool any(const std::vector<Message>& messages, Message::Kind kind) {
    return std::any_of(messages.begin(), messages.end(),
                       [kind](const Message& message) { return message.kind == kind; });
  }
  std::ptrdiff_t count(const std::string& text) const {
    return std::count_if(log_.lines().begin(), log_.lines().end(), [&](const auto& line) {
      return line.text.find(text) != std::string::npos;
    });
  }

  static constexpr pid_t kFirst = PlayedCalls::kFirst;
  FdGuard guard_;
  LogCapture log_;
  std::unique_ptr<Board> board_ = Board::make().value();
  TimePoint real_{hours(1)};
  RunClock clock_{real_};
  PlayedCalls calls_;
  std::optional<Crew> crew_;
};

// ---- Starting ----

TEST_F(CrewTest, StartsAWorkerForEachSlot) {
  make(plan(3));
  EXPECT_EQ(calls_.started, 3);
  EXPECT_FALSE(crew_->complete());
  for (pid_t pid = kFirst; pid < kFirst + 3; ++pid) ready(pid);
  turn();
  EXPECT_TRUE(crew_->complete());
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewTest, AForkThatFailsIsTriedAgainAtMostTwiceASecond) {
  make_ready(plan(2));
  calls_.refuse = true;
  die(kFirst);
  calls_.tries = 0;
  pass(seconds(3), {kFirst + 1});
  EXPECT_LE(calls_.tries, 7);
  EXPECT_GE(calls_.tries, 2);
  calls_.refuse = false;
  pass(seconds(7), {kFirst + 1, kFirst + 2});
  EXPECT_EQ(calls_.started, 3);
}

TEST_F(CrewTest, TheQueueOfASlotThatWaitsForItsRestartIsTheSiblings) {
  make_ready(plan(2));
  pid_t last = kFirst;  // the worker of slot 0, which dies again and again
  heard(kFirst + 1);
  while (!any(heard(kFirst + 1), Message::Kind::orphan)) {
    ASSERT_LT(calls_.started, 10);
    die(last);
    turn();
    last = kFirst + calls_.started - 1;
  }
  EXPECT_EQ(crew_->next_turn(), std::min(crew_->next_turn(), clock_.now() + milliseconds(625)));
  pass(milliseconds(700), {kFirst + 1});
  ready(kFirst + calls_.started - 1);
  turn();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::adopted));
}

// ---- Silence ----

TEST_F(CrewTest, EachSilenceIsReportedOnce) {
  make_ready(plan(1));
  for (int silence = 1; silence <= 2; ++silence) {
    beat(kFirst);
    pass(seconds(3));
    EXPECT_EQ(count("has been silent for"), silence);
    EXPECT_EQ(calls_.signals[kFirst].size(), static_cast<std::size_t>(silence));
    EXPECT_EQ(calls_.signals[kFirst].back(), SIGUSR2);
  }
}

TEST_F(CrewTest, OneThatIgnoresSigabrtIsKilledTwoSecondsLater) {
  make_ready(plan(1));
  pass(seconds(4));
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  pass(milliseconds(1950));
  EXPECT_EQ(calls_.signals[kFirst].back(), SIGABRT);
  EXPECT_LE(crew_->next_turn(), clock_.now() + milliseconds(50));
  pass(milliseconds(100));
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT, SIGKILL}));
  pass(seconds(10));
  EXPECT_EQ(calls_.signals[kFirst].size(), 3U);
}

TEST_F(CrewTest, WithoutATimeoutALeavingWorkerIsKilledAtItsDeadlineAllTheSame) {
  Plan unlimited = plan(1);
  unlimited.timeout = Duration::zero();
  make_ready(unlimited);
  pass(hours(0) + seconds(20));
  EXPECT_TRUE(calls_.signals.empty());
  EXPECT_EQ(crew_->next_turn(), TimePoint::max());
  crew_->renew_all();
  turn();
  ready(kFirst + 1);
  turn();
  ASSERT_TRUE(any(heard(kFirst), Message::Kind::retire));
  EXPECT_EQ(crew_->next_turn(), clock_.now() + seconds(12));  // graceful_timeout and 2 s more
  pass(seconds(12));
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGKILL});
}

// ---- Pauses ----

TEST_F(CrewTest, APauseOfAllIsNoSilence) {
  make_ready(plan(2));
  for (int i = 0; i < 5; ++i) {
    pass(milliseconds(990));  // nobody turns: nothing came, and the beat is a second
    pause(hours(1));
    pass(milliseconds(10), {kFirst, kFirst + 1});
  }
  EXPECT_TRUE(calls_.signals.empty());
  EXPECT_EQ(count("silent"), 0);
}

TEST_F(CrewTest, AStuckWorkerIsAbortedInSpiteOfPauses) {
  make_ready(plan(1));
  for (int i = 0; i < 8; ++i) {
    pass(milliseconds(500));
    pause(hours(1));
  }
  EXPECT_EQ(calls_.signals[kFirst], (std::vector<int>{SIGUSR2, SIGABRT}));
  pause(hours(1));
  EXPECT_EQ(calls_.signals[kFirst].back(), SIGABRT);  // its 2 s have not passed
}

TEST_F(CrewTest, APauseMovesEachDeadline) {
  make_ready(plan(1));
  crew_->renew_all();
  turn();
  pass(seconds(3), {kFirst});
  pause(hours(1));  // the successor had 4 s to be ready
  ready(kFirst + 1);
  turn();
  ASSERT_TRUE(any(heard(kFirst), Message::Kind::retire));
  pass(seconds(9), {kFirst, kFirst + 1});
  pause(hours(1));  // and the old one 12 s to end
  pass(seconds(2), {kFirst, kFirst + 1});
  EXPECT_TRUE(calls_.signals.empty());
  pass(seconds(1) + milliseconds(10), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.signals[kFirst], std::vector<int>{SIGKILL});
}

TEST_F(CrewTest, AWorkerThatDiesAfterAPauseLivedNoLonger) {
  make_ready(plan(1));
  for (int deaths = 1; deaths <= 3; ++deaths) {
    pause(hours(1));
    die(kFirst + calls_.started - 1);
    turn();
  }
  EXPECT_EQ(count("next start in 0 ms"), 2);  // the third one in a row waits
}

// ---- Wishes ----

TEST_F(CrewTest, AWorkerGetsASuccessorOnceAndNotBeforeASecondOfService) {
  make_ready(plan(1));
  ask_for_successor(kFirst);
  pass(milliseconds(980), {kFirst});
  EXPECT_EQ(calls_.started, 1);
  EXPECT_LE(crew_->next_turn(), clock_.now() + milliseconds(30));
  pass(milliseconds(30), {kFirst});
  EXPECT_EQ(calls_.started, 2);
  ready(kFirst + 1);
  pass(seconds(3), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.started, 2);
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::retire));
}

TEST_F(CrewTest, TheWishOfOneThatLeavesIsOver) {
  make_ready(plan(1));
  crew_->renew_all();
  turn();
  ready(kFirst + 1);
  turn();
  ask_for_successor(kFirst);
  pass(seconds(3), {kFirst, kFirst + 1});
  EXPECT_EQ(calls_.started, 2);
}

TEST_F(CrewTest, OneThatAlwaysWantsToBeReplacedDoesNotHoldUpAReload) {
  make_ready(plan(2));
  ask_for_successor(kFirst);
  pass(seconds(1), {kFirst, kFirst + 1});
  ready(kFirst + 2);
  turn();
  ask_for_successor(kFirst + 2);
  pass(milliseconds(500), {kFirst + 1, kFirst + 2});
  crew_->renew_all();
  turn();
  ready(kFirst + 3);
  turn();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire)) << "the oldest";
  ready(kFirst + 4);
  turn();
  EXPECT_TRUE(crew_->settled());
  EXPECT_EQ(calls_.started, 5);
}

TEST_F(CrewTest, OneThatBreaksTheRulesIsKilledWithItsGroupAndReplacedSlowly) {
  make_ready(plan(1));
  pid_t last = kFirst;
  for (int deaths = 1; deaths <= 3; ++deaths) {
    pass(seconds(2), {last});  // which would make up for a death
    ASSERT_EQ(::write(calls_.workers.at(last).notices_fd(), "x", 1), 1);
    turn();
    EXPECT_EQ(calls_.signals[-last], std::vector<int>{SIGKILL});
    EXPECT_EQ(calls_.signals[last], std::vector<int>{SIGKILL});
    die(last, SIGKILL);
    turn();
    last = kFirst + calls_.started - 1;
    if (deaths < 3) ready(last);
  }
  EXPECT_EQ(calls_.started, 3) << "the fourth has to wait";
  EXPECT_EQ(count("suspect that clients run their code"), 3);
}

// ---- Reload ----

TEST_F(CrewTest, AfterTwoBadReloadsTheLastGoodOneServes) {
  Plan good = plan(2);
  good.max_requests = 1;
  make_ready(good);
  for (const std::uint64_t bad : {2U, 3U}) {
    Plan next = plan(2);
    next.max_requests = bad;
    crew_->reload({next, {}});
    turn();
  }
  EXPECT_EQ(crew_->plan().max_requests, 3U);
  die(kFirst + 2);  // which was started by the first of the two: another is tried
  turn();
  EXPECT_EQ(crew_->plan().max_requests, 3U);
  die(kFirst + 3);
  turn();
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  EXPECT_TRUE(crew_->settled());
  EXPECT_EQ(calls_.started, 4);
}

TEST_F(CrewTest, AReloadReplacesOneAfterTheOther) {
  make_ready(plan(2));
  crew_->reload({plan(2), {}});
  turn();
  EXPECT_EQ(calls_.started, 3);
  EXPECT_FALSE(crew_->settled());
  ready(kFirst + 2);
  turn();
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::retire));
  EXPECT_FALSE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_EQ(calls_.started, 4);
  ready(kFirst + 3);
  turn();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_TRUE(crew_->settled());
}

}  // namespace
}  // namespace reactor::prefork
