// SPDX-License-Identifier: MIT
// The crew's decisions, without a crew. A row of a table is a story: reports and times, and after
// each the starts, retirements and successions that have to follow.
#include "reactor/prefork/internal/slot_plan.h"

#include <gtest/gtest.h>

#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Plays a story. Workers get the numbers 1, 2, ... in the order of their starts. Words:
//
//   ready N    worker N is ready                  trial      a reload begins
//   die N      worker N dies                      adopt N    the worker on trial is ready, all well
//   abort N    worker N is told to die            refuse N   the same, but the reload is refused
//   expel N    worker N broke the rules           outdate    all workers are outdated
//   wish N     worker N asks for a successor      wanted N   N slots are to have a worker
//   turn N     the loop of worker N turns         slot       a slot is added
//   wait N     N milliseconds pass                fail       the next start fails
//   end        nothing is started any more
//
// After each word the plan is asked as the crew asks it. The answers are, in their order:
//
//   +SLOT=N, +SLOT=N?  worker N starts in SLOT; the ? means on trial
//   !SLOT              a start in SLOT failed
//   -N>HEIR            worker N leaves, and its connections go to the slot HEIR
class Story {
 public:
  Story(unsigned wanted, unsigned slots) : plan_(wanted, slots, 1) {}

  std::string tell(const std::string& words) {
    std::istringstream in(words);
    ask();
    for (std::string word; in >> word;) {
      int number = 0;
      if (takes_number(word)) in >> number;
      act(word, number);
      ask();
    }
    return std::exchange(answers_, {});
  }

  SlotPlan plan_;
  TimePoint now_{std::chrono::hours(1)};

 private:
  static bool takes_number(const std::string& word) {
    return word != "trial" && word != "outdate" && word != "slot" && word != "fail" &&
           word != "end";
  }

  void act(const std::string& word, int number) {
    const unsigned slot = slot_of(number);
    if (word == "ready") {
      succeed(slot, number);
    } else if (word == "adopt") {
      EXPECT_TRUE(plan_.is_on_trial(number));
      plan_.adopt_trial(plan_.wanted());
      succeed(slot, number);
    } else if (word == "refuse") {
      EXPECT_TRUE(plan_.is_on_trial(number));
      if (plan_.refuse_trial(slot, number)) {
        leave(number, slot);
      } else {
        succeed(slot, number);
      }
    } else if (word == "die") {
      deaths_.push_back(plan_.died(slot, number, now_));
    } else if (word == "abort") {
      plan_.aborted(slot, number);
    } else if (word == "expel") {
      plan_.expelled(slot, number);
    } else if (word == "wish") {
      plan_.wants_successor(slot, number);
    } else if (word == "turn") {
      plan_.turned(slot, number, now_);
    } else if (word == "wait") {
      now_ += milliseconds(number);
    } else if (word == "trial") {
      plan_.begin_trial();
    } else if (word == "outdate") {
      plan_.outdate_all();
    } else if (word == "wanted") {
      plan_.set_wanted(static_cast<unsigned>(number));
    } else if (word == "slot") {
      plan_.add_slot();
    } else if (word == "fail") {
      fails_ = true;
    } else if (word == "end") {
      plan_.end();
    } else {
      ADD_FAILURE() << word;
    }
  }

  void ask() {
    while (const auto start = plan_.empty_slot_due(now_)) begin(*start);
    static_cast<void>(plan_.surplus_begins(now_));
    for (const auto& retired : plan_.retire_surplus()) leave(retired.worker, retired.heir);
    if (const auto start = plan_.successor_due(now_)) begin(*start);
  }

  void begin(const SlotPlan::Start& start) {
    if (std::exchange(fails_, false)) {
      plan_.could_not_start(start.slot, now_);
      say("!" + std::to_string(start.slot));
      return;
    }
    slots_.push_back(start.slot);
    const int worker = static_cast<int>(slots_.size());
    plan_.started(start, worker, now_);
    say("+" + std::to_string(start.slot) + "=" + std::to_string(worker) +
        (start.on_trial ? "?" : ""));
  }

  void succeed(unsigned slot, int worker) {
    if (const auto replaced = plan_.ready(slot, worker, now_)) leave(*replaced, slot);
  }

  void leave(int worker, unsigned heir) {
    say("-" + std::to_string(worker) + ">" + std::to_string(heir));
  }

  void say(const std::string& answer) { answers_ += (answers_.empty() ? "" : " ") + answer; }

  [[nodiscard]] unsigned slot_of(int worker) const {
    const auto index = static_cast<std::size_t>(worker - 1);
    return index < slots_.size() ? slots_[index] : 0;
  }

  std::vector<unsigned> slots_;  // by worker
  std::vector<SlotPlan::Death> deaths_;
  std::string answers_;
  bool fails_ = false;
};

struct Row {
  const char* name;
  unsigned wanted, slots;
  const char* story;
  const char* answers;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class SlotPlanTest : public ::testing::TestWithParam<Row> {};

TEST_P(SlotPlanTest, Decides) {
  Story story(GetParam().wanted, GetParam().slots);
  EXPECT_EQ(story.tell(GetParam().story), GetParam().answers) << GetParam().story;
}

const Row kRows[] = {
    // Starts
    {"EachWantedSlot", 2, 3, "", "+0=1 +1=2"},
    {"ADeathAtOnce", 1, 1, "ready 1 wait 2000 die 1", "+0=1 +0=2"},
    {"QuickDeathsWait", 1, 1, "ready 1 die 1 die 2 die 3 wait 400 wait 300", "+0=1 +0=2 +0=3 +0=4"},
    {"AnExpelledWorkerServedNoTime", 1, 1,
     "ready 1 wait 2000 expel 1 die 1 ready 2 wait 2000 expel 2 die 2 ready 3 wait 2000 expel 3 "
     "die 3",
     "+0=1 +0=2 +0=3"},
    {"AFailedStartWaits", 1, 1, "ready 1 wait 2000 fail die 1 wait 400 wait 100", "+0=1 !0 +0=2"},
    {"AFailedStartDelaysNoOther", 2, 2, "ready 1 ready 2 fail die 1 die 2", "+0=1 +1=2 !0 +1=3"},
    {"NoneIfHopeless", 2, 2, "die 1 die 2 wait 100000", "+0=1 +1=2 +0=3"},
    {"NoneAtTheEnd", 1, 1, "ready 1 end die 1 wait 100000", "+0=1"},
    {"AnAddedSlot", 1, 1, "ready 1 slot wanted 2", "+0=1 +1=2"},

    // Successors
    {"OneAfterTheOther", 2, 2, "ready 1 ready 2 outdate ready 3 ready 4",
     "+0=1 +1=2 +0=3 -1>0 +1=4 -2>1"},
    {"NoneForOneThatStarts", 1, 1, "outdate ready 1 ready 2", "+0=1 +0=2 -1>0"},
    {"NoneForOneThatIsAborted", 1, 1, "ready 1 abort 1 outdate wait 9000", "+0=1"},
    {"AWishAfterASecond", 1, 1, "ready 1 wish 1 wait 900 wait 100", "+0=1 +0=2"},
    {"AWishIsForgottenWithItsWorker", 1, 1, "ready 1 wish 1 wait 1000 ready 2 wish 1 wait 9000",
     "+0=1 +0=2 -1>0"},
    {"TheOldestFirst", 2, 2,
     "ready 1 ready 2 wait 1000 wish 1 ready 3 wait 500 wish 3 outdate ready 4",
     "+0=1 +1=2 +0=3 -1>0 +1=4 -2>1 +0=5"},
    {"ASuccessorThatDiesLeavesTheOld", 1, 1, "ready 1 outdate die 2 ready 3",
     "+0=1 +0=2 +0=3 -1>0"},
    {"ASuccessorGetsTheSlotOfOneThatDies", 1, 1, "ready 1 outdate die 1 ready 2", "+0=1 +0=2"},

    // The surplus
    {"FewerOnceTheRestHaveTurned", 3, 3,
     "ready 1 ready 2 ready 3 wanted 2 turn 1 wait 10 turn 1 wait 10 turn 2",
     "+0=1 +1=2 +2=3 -3>0"},
    {"TheHeirsAreTheRest", 5, 5,
     "ready 1 ready 2 ready 3 ready 4 ready 5 wanted 2 wait 1 turn 1 turn 2",
     "+0=1 +1=2 +2=3 +3=4 +4=5 -3>0 -4>1 -5>0"},
    {"TheSurplusStaysWhileOneStarts", 2, 2,
     "ready 1 ready 2 die 1 wanted 1 wait 10 ready 3 wait 10 "
     "turn 3",
     "+0=1 +1=2 +0=3 -2>0"},
    {"TheSurplusStaysIfItIsWantedAgain", 2, 2, "ready 1 ready 2 wanted 1 wanted 2 wait 10 turn 1",
     "+0=1 +1=2"},
    {"EachSurplusWaitsForNewTurns", 2, 2,
     "ready 1 ready 2 wanted 1 wait 10 turn 1 wanted 2 ready 3 wanted 1 wait 10",
     "+0=1 +1=2 -2>0 +1=3"},
    {"ASuccessorIsSurplusToo", 2, 2, "ready 1 ready 2 wait 1000 wish 2 wanted 1 wait 10 turn 1",
     "+0=1 +1=2 +1=3 -3>0 -2>0"},

    // The trial of a reload
    {"ATrialStartsOne", 2, 2, "ready 1 ready 2 trial wait 9000", "+0=1 +1=2 +0=3?"},
    {"AnAdoptedTrialReplacesTheRest", 2, 2, "ready 1 ready 2 trial adopt 3 ready 4",
     "+0=1 +1=2 +0=3? -1>0 +1=4 -2>1"},
    {"AFailedTrialIsNotRepeated", 2, 2, "ready 1 ready 2 trial die 3 wait 9000", "+0=1 +1=2 +0=3?"},
    {"AFailedTrialDelaysNoStart", 1, 1, "ready 1 trial die 2 trial die 3 trial die 4 die 1",
     "+0=1 +0=2? +0=3? +0=4? +0=5"},
    {"ARefusedTrialLeaves", 1, 1, "ready 1 trial refuse 2 wait 9000", "+0=1 +0=2? -2>0"},
    {"AnotherTrialReplacesTheFirst", 1, 1, "ready 1 trial trial ready 2 adopt 3",
     "+0=1 +0=2? -1>0 +0=3? -2>0"},
    {"AnEmptySlotIsNotTried", 2, 2, "ready 1 ready 2 trial die 2 adopt 3 ready 4 ready 5",
     "+0=1 +1=2 +0=3? +1=4 -1>0 +1=5 -4>1"},
    {"AnEmptySlotIsNotTriedWhileAnotherServes", 2, 2, "ready 1 ready 2 outdate trial die 2",
     "+0=1 +1=2 +0=3 +1=4"},
    {"AnEmptySlotIsTriedIfNobodyServes", 1, 1, "ready 1 fail die 1 trial wait 500 adopt 2",
     "+0=1 !0 +0=2?"},
    {"ARefusedTrialInAnEmptySlotServesOn", 1, 1,
     "ready 1 fail die 1 trial wait 500 refuse 2 ready 3", "+0=1 !0 +0=2? +0=3 -2>0"},
    {"ATrialThatIsRetiredIsRepeated", 2, 2,
     "ready 1 ready 2 wait 1000 wish 1 ready 3 trial wanted 1 wait 10 turn 3 adopt 5",
     "+0=1 +1=2 +0=3 -1>0 +1=4? -4>0 -2>0 +0=5? -3>0"},
    {"ATrialThatIsAbortedBeforeItIsRetiredIsRepeated", 2, 2,
     "ready 1 ready 2 wait 1000 wish 1 ready 3 trial abort 4 wanted 1 wait 10 turn 3 die 4 adopt 5",
     "+0=1 +1=2 +0=3 -1>0 +1=4? -4>0 -2>0 +0=5? -3>0"},
    {"ATrialDoesNotStopReplacements", 1, 1, "ready 1 trial outdate adopt 2 ready 3",
     "+0=1 +0=2? -1>0 +0=3 -2>0"},
};

INSTANTIATE_TEST_SUITE_P(Table, SlotPlanTest, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return row.param.name; });

TEST(SlotPlan, IsHopelessOnlyIfNoWorkerWasEverReady) {
  Story never(2, 2);
  never.tell("die 1");
  EXPECT_FALSE(never.plan_.hopeless());
  never.tell("die 2");
  EXPECT_TRUE(never.plan_.hopeless());
  Story once(2, 2);
  once.tell("ready 1 die 1 die 2 die 3 die 4");
  EXPECT_FALSE(once.plan_.hopeless());
}

TEST(SlotPlan, IsSettledOnceNothingIsToBeReplaced) {
  Story story(1, 1);
  story.tell("");
  EXPECT_FALSE(story.plan_.settled()) << "the worker starts";
  story.tell("ready 1");
  EXPECT_TRUE(story.plan_.settled());
  story.tell("trial");
  EXPECT_FALSE(story.plan_.settled()) << "a trial is under way";
  story.tell("adopt 2");
  EXPECT_TRUE(story.plan_.settled());
  story.tell("wish 2");
  EXPECT_FALSE(story.plan_.settled()) << "it is to be replaced";
}

TEST(SlotPlan, NamesTheSlotThatTheSurplusWaitsFor) {
  Story story(3, 3);
  story.tell("ready 1 ready 2 ready 3 wanted 2 wait 10 turn 1");
  EXPECT_EQ(story.plan_.surplus_waits_for(), 1U);
  EXPECT_EQ(story.plan_.surplus_since(), story.now_ - milliseconds(10));
  story.tell("turn 2");
  EXPECT_EQ(story.plan_.surplus_waits_for(), std::nullopt);
}

TEST(SlotPlan, LooksAtTheSurplusLessAndLessOften) {
  Story story(2, 2);
  story.tell("ready 1 ready 2 wanted 1");
  EXPECT_EQ(story.plan_.next_turn(story.now_), story.now_ + milliseconds(10));
  story.tell("wait 2000");
  EXPECT_EQ(story.plan_.next_turn(story.now_), story.now_ + milliseconds(500));
  story.tell("wait 60000");
  EXPECT_EQ(story.plan_.next_turn(story.now_), story.now_ + seconds(1));
}

TEST(SlotPlan, TheNextTurnIsThatOfTheNextStart) {
  Story story(1, 1);
  story.tell("ready 1");
  EXPECT_EQ(story.plan_.next_turn(story.now_), TimePoint::max());
  story.tell("wish 1");
  EXPECT_EQ(story.plan_.next_turn(story.now_), story.now_ + SlotPlan::kShortestService);
  story.tell("wait 1000");
  EXPECT_EQ(story.plan_.next_turn(story.now_), TimePoint::max()) << "its successor starts";
  story.tell("ready 2 wait 2000 fail die 2");
  EXPECT_EQ(story.plan_.next_turn(story.now_), story.now_ + Backoff::kFirst);
}

}  // namespace
}  // namespace reactor::prefork
