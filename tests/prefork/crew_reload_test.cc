// SPDX-License-Identifier: MIT
// A reload: one worker of the next generation is tried, and nothing changes before it is ready.
#include "tests/prefork/crew_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class CrewReloadTest : public CrewTest {
 protected:
  static Plan marked(unsigned workers, std::uint64_t mark) {
    Plan result = plan(workers);
    result.max_requests = mark;
    return result;
  }
  // The reload has room for more slots, and reports each generation that it puts into force.
  void reload(const Plan& next, const std::string& why_not = {}) {
    crew_->reload({next, {}}, [this, why_not](Crew::Generation& generation) {
      ++enacted_;
      if (!why_not.empty()) return why_not;
      while (crew_->slots() < generation.plan.workers) crew_->add_slot();
      return std::string();
    });
    turn();
  }
  // The only worker died, and none could be started. The reload's first one starts in its slot.
  void reload_into_the_empty_slot() {
    make_ready(marked(1, 1));
    calls_.refuse = true;
    die(kFirst);
    turn();
    reload(marked(1, 2));
    calls_.refuse = false;
    pass(seconds(1));
  }
  pid_t last() const { return kFirst + calls_.started - 1; }
  void make_last_ready() {
    ready(last());
    turn();
  }

  int enacted_ = 0;
};

TEST_F(CrewReloadTest, AReloadReplacesOneAfterTheOther) {
  make_ready(plan(2));
  reload(plan(2));
  EXPECT_EQ(calls_.started, 3);
  EXPECT_FALSE(crew_->settled());
  make_last_ready();
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::retire));
  EXPECT_FALSE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_EQ(calls_.started, 4);
  make_last_ready();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewReloadTest, AReloadIsInForceAsSoonAsItsFirstWorkerIsReady) {
  make_ready(marked(2, 1));
  reload(marked(4, 2));
  EXPECT_EQ(enacted_, 0);
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  EXPECT_EQ(crew_->wanted(), 2U);
  EXPECT_EQ(crew_->wanted_at_last(), 4U);
  EXPECT_EQ(crew_->slots(), 2U);
  make_last_ready();
  EXPECT_EQ(enacted_, 1);
  EXPECT_EQ(crew_->plan().max_requests, 2U);
  EXPECT_EQ(crew_->wanted(), 4U);
  EXPECT_EQ(crew_->slots(), 4U);
}

TEST_F(CrewReloadTest, AReloadThatFailsLeavesNothing) {
  make_ready(marked(2, 1));
  for (int i = 0; i < 5; ++i) {
    reload(marked(4, 2));
    die(last());
    turn();
    EXPECT_EQ(enacted_, 0);
    EXPECT_EQ(crew_->plan().max_requests, 1U);
    EXPECT_EQ(crew_->wanted(), 2U);
    EXPECT_EQ(crew_->slots(), 2U);
    EXPECT_TRUE(crew_->settled());
    EXPECT_EQ(crew_->failure(), "its workers did not become ready");
  }
  EXPECT_EQ(calls_.started, 7);
  die(kFirst);
  turn();
  EXPECT_EQ(calls_.started, 8) << "the failures must not delay the restart of other workers";
  EXPECT_EQ(count("next start in 0 ms"), 1);
  crew_->renew_all();  // as after a worker made the listeners deaf
  EXPECT_NE(crew_->failure(), "");
  reload(marked(4, 3));
  EXPECT_EQ(crew_->failure(), "");
}

// For example, there is no descriptor for the sockets of the additional workers.
TEST_F(CrewReloadTest, AReloadThatCanNotBePutIntoForceLeavesNothing) {
  make_ready(marked(2, 1));
  reload(marked(4, 2), "no room");
  make_last_ready();
  EXPECT_TRUE(any(heard(kFirst + 2), Message::Kind::retire));
  EXPECT_FALSE(any(heard(kFirst), Message::Kind::retire));
  EXPECT_EQ(count("reload refused, all stays as it is: no room"), 1);
  EXPECT_EQ(crew_->failure(), "no room");
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  EXPECT_TRUE(crew_->settled());
  EXPECT_EQ(calls_.started, 3);
}

TEST_F(CrewReloadTest, AfterTwoBadReloadsTheLastGoodOneServes) {
  make_ready(marked(2, 1));
  for (const std::uint64_t bad : {2U, 3U}) reload(marked(2, bad));
  die(kFirst + 2);  // of the first bad reload; the crew tries the second one
  turn();
  EXPECT_FALSE(crew_->settled());
  die(kFirst + 3);
  turn();
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  EXPECT_TRUE(crew_->settled());
  EXPECT_EQ(calls_.started, 4);
}

TEST_F(CrewReloadTest, AWorkerOfAReloadThatWasReplacedByAnotherDoesNotStay) {
  make_ready(marked(1, 1));
  reload(marked(1, 2));
  reload(marked(1, 3));
  make_last_ready();
  EXPECT_EQ(enacted_, 0);
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  EXPECT_EQ(calls_.started, 3);
  make_last_ready();
  EXPECT_EQ(enacted_, 1);
  EXPECT_EQ(crew_->plan().max_requests, 3U);
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_TRUE(crew_->settled());
}

// ---- What happens while a worker is tried ----

TEST_F(CrewReloadTest, AChangeOfTheNumberAmidAReloadLastsHoweverTheReloadEnds) {
  for (const bool good : {true, false}) {
    SCOPED_TRACE(good ? "good" : "bad");
    calls_.started = 0;
    calls_.workers.clear();
    calls_.dead.clear();
    scoreboard_ = Scoreboard::make().value();
    make_ready(plan(2));
    reload(plan(5));
    crew_->add_slot();
    crew_->resize(1);
    EXPECT_EQ(crew_->wanted(), 3U);
    EXPECT_EQ(crew_->wanted_at_last(), 6U);
    good ? ready(kFirst + 2) : die(kFirst + 2);
    turn();
    EXPECT_EQ(crew_->wanted(), good ? 6U : 3U);
  }
}

// The master asks for that if a worker has made the listeners deaf. That may have been the worker
// that is tried.
TEST_F(CrewReloadTest, WhenAllAreReplacedAmidAReloadItCanStillFail) {
  make_ready(marked(2, 1));
  reload(marked(2, 2));
  crew_->renew_all();
  turn();
  die(kFirst + 2);
  turn();
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  for (int i = 0; i < 2; ++i) make_last_ready();
  EXPECT_EQ(calls_.started, 5);
  for (const pid_t old : {kFirst, kFirst + 1}) {
    EXPECT_TRUE(any(heard(old), Message::Kind::retire)) << "it has no listener any more";
  }
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewReloadTest, WhenAllAreReplacedAmidAReloadItsWorkerIsReplacedToo) {
  make_ready(marked(1, 1));
  reload(marked(1, 2));
  crew_->renew_all();
  make_last_ready();
  EXPECT_EQ(crew_->plan().max_requests, 2U);
  EXPECT_EQ(calls_.started, 3);
  make_last_ready();
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::retire));
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewReloadTest, AWorkerThatDiesAmidAReloadIsReplacedUnderThePlanInForce) {
  make_ready(plan(2));
  Plan patient = plan(2);
  patient.timeout = seconds(60);
  reload(patient);
  die(kFirst + 1);
  turn();
  EXPECT_EQ(calls_.started, 4);
  pass(seconds(4), {kFirst});
  EXPECT_EQ(calls_.signals[kFirst + 3], std::vector<int>{SIGABRT}) << "not ready for 4 s";
  EXPECT_TRUE(calls_.signals[kFirst + 2].empty()) << "it may take 60 s";
}

TEST_F(CrewReloadTest, IfNobodyServesAnEmptySlotTriesTheReload) {
  reload_into_the_empty_slot();
  ASSERT_EQ(calls_.started, 2);
  make_last_ready();
  EXPECT_EQ(crew_->plan().max_requests, 2U);
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewReloadTest, AReloadThatFailsInAnEmptySlotLeavesItToThePlanInForce) {
  reload_into_the_empty_slot();
  die(last());
  pass(seconds(1));
  ASSERT_EQ(calls_.started, 3);
  make_last_ready();
  EXPECT_EQ(crew_->plan().max_requests, 1U);
  EXPECT_EQ(enacted_, 0);
  EXPECT_TRUE(crew_->settled());
}

TEST_F(CrewReloadTest, IfTheWorkerThatIsTriedIsRetiredAnotherIsTried) {
  make_ready(marked(2, 1));
  pass(seconds(1), {kFirst, kFirst + 1});
  ask_for_successor(kFirst);
  turn();
  make_last_ready();  // from here on the worker of slot 1 is the oldest
  reload(marked(2, 2));
  crew_->resize(-1);
  turn();
  pass(milliseconds(10), {kFirst + 2});
  EXPECT_TRUE(any(heard(kFirst + 3), Message::Kind::retire));
  die(kFirst + 3);
  turn();
  EXPECT_EQ(enacted_, 0);
  make_last_ready();
  EXPECT_EQ(enacted_, 1);
  EXPECT_EQ(crew_->plan().max_requests, 2U);
}

// No worker was ever ready, so there is nothing to go back to.
TEST_F(CrewReloadTest, AtTheStartAReloadIsInForceAtOnce) {
  make(marked(1, 1));
  reload(marked(1, 2));
  EXPECT_EQ(enacted_, 1);
  EXPECT_EQ(crew_->plan().max_requests, 2U);
  make_last_ready();
  EXPECT_FALSE(crew_->settled()) << "the first worker has the old plan";
  make_last_ready();
  EXPECT_TRUE(crew_->settled());
}

// ---- The plan of a worker that started earlier ----

TEST_F(CrewReloadTest, AWorkerIsJudgedByThePlanThatItWasStartedWith) {
  Plan unlimited = plan(2);
  unlimited.timeout = Duration::zero();
  make_ready(unlimited);
  Plan strict = plan(2);
  strict.graceful_timeout = seconds(1);
  reload(strict);
  make_last_ready();
  pass(seconds(5), {kFirst + 2});
  EXPECT_TRUE(calls_.signals[kFirst + 1].empty()) << "it shows no sign of life without a timeout";
  EXPECT_TRUE(calls_.signals[kFirst].empty()) << "it may finish within its 10 s";
  EXPECT_EQ(calls_.signals[kFirst + 3], std::vector<int>{SIGABRT}) << "not ready for 4 s";
}

}  // namespace
}  // namespace reactor::prefork
