// SPDX-License-Identifier: MIT
// A slot without a worker that is ready has no occupant on the scoreboard, so that the siblings
// accept from its queue. A message makes them look there at once.
#include "tests/prefork/crew_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class CrewVacanciesTest : public CrewTest {};

TEST_F(CrewVacanciesTest, ASlotIsTheSiblingsUntilItsNewWorkerIsReady) {
  make_ready(plan(2));
  EXPECT_NE(scoreboard_->occupant(0), nullptr);
  heard(kFirst + 1);
  die(kFirst);
  turn();
  EXPECT_EQ(calls_.started, 3) << "the restart is not delayed";
  EXPECT_EQ(scoreboard_->occupant(0), nullptr);
  EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::look));
  ready(kFirst + 2);
  turn();
  EXPECT_NE(scoreboard_->occupant(0), nullptr);
}

TEST_F(CrewVacanciesTest, ASlotThatWaitsForItsRestartIsTheSiblings) {
  make_ready(plan(2));
  pid_t last = kFirst;  // the worker of slot 0, which dies again and again
  for (int deaths = 0; count("next start in 0 ms") == deaths; ++deaths) {
    ASSERT_LT(deaths, 10);
    die(last);
    turn();
    last = kFirst + calls_.started - 1;
    EXPECT_EQ(scoreboard_->occupant(0), nullptr);
    EXPECT_TRUE(any(heard(kFirst + 1), Message::Kind::look));
  }
  EXPECT_EQ(crew_->next_turn(), std::min(crew_->next_turn(), clock_.now() + milliseconds(625)));
  pass(milliseconds(700), {kFirst + 1});
  ready(kFirst + calls_.started - 1);
  turn();
  EXPECT_NE(scoreboard_->occupant(0), nullptr);
}

TEST_F(CrewVacanciesTest, ASlotWhoseWorkerCanNotBeForkedIsTheSiblingsAtOnce) {
  make_ready(plan(2));
  calls_.refuse = true;
  crew_->add_slot();
  crew_->resize(1);
  heard(kFirst);
  turn();
  EXPECT_EQ(scoreboard_->occupant(2), nullptr);
  EXPECT_TRUE(any(heard(kFirst), Message::Kind::look));
}

// A worker that hangs is aborted, so its life may be long.
TEST_F(CrewVacanciesTest, TheTimeBeforeAWorkerIsReadyIsNoService) {
  make_ready(plan(1));
  pass(seconds(2), {kFirst});
  die(kFirst);
  for (int deaths = 1; deaths <= 3; ++deaths) {
    turn();
    pass(seconds(2));
    die(kFirst + calls_.started - 1);
  }
  turn();
  EXPECT_EQ(calls_.started, 4) << "the fourth death in a row was one too many";
  EXPECT_EQ(count("next start in 0 ms"), 3);
  EXPECT_EQ(scoreboard_->occupant(0), nullptr);
}

TEST_F(CrewVacanciesTest, OneMessageTellsOfAnyNumberOfSlots) {
  make_ready(plan(40));
  crew_->resize(-39);
  turn();
  heard(kFirst);
  pass(milliseconds(10), {kFirst});
  for (unsigned slot = 1; slot < 40; ++slot) EXPECT_EQ(scoreboard_->occupant(slot), nullptr);
  const std::vector<Message> news = heard(kFirst);
  EXPECT_TRUE(any(news, Message::Kind::look));
  EXPECT_LE(news.size(), 2U);
  for (int i = 1; i < 40; ++i) die(kFirst + i, 0);
  turn();
  crew_->renew_all();
  turn();
  ready(kFirst + 40);
  turn();
  const std::vector<Message> to_the_new = heard(kFirst + 40);
  ASSERT_EQ(to_the_new.size(), 1U);
  EXPECT_EQ(to_the_new[0].kind, Message::Kind::look);
}

TEST_F(CrewVacanciesTest, OneThatCanNotBeToldOfANewSlotIsReplaced) {
  make_ready(plan(2));
  pass(seconds(1), {kFirst, kFirst + 1});
  for (int i = 0; i < 5000; ++i) crew_->tell_all({.kind = Message::Kind::look});
  heard(kFirst + 1);
  turn();
  EXPECT_EQ(calls_.started, 2) << "a message to look is none too many";
  crew_->tell_all({.kind = Message::Kind::sibling}, STDERR_FILENO);
  turn();
  EXPECT_EQ(calls_.started, 3);
  ready(kFirst + 2);
  turn();
  EXPECT_EQ(calls_.started, 3);
  EXPECT_FALSE(any(heard(kFirst + 1), Message::Kind::retire)) << "it was told";
}

}  // namespace
}  // namespace reactor::prefork
