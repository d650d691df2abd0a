// SPDX-License-Identifier: MIT
// The decisions of a worker about its siblings and their connections. The service and the other
// workers are simulated: no process is forked.
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <utility>

#include "reactor/net/fd_passing.h"
#include "tests/prefork/siblings_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using Answer = HandOverReply;

// ---- New connections ----

TEST_P(SiblingsTest, ANewConnectionGoesToTheWorkerWithFewest) {
  service_.count(10);
  seats_[1]->connections.set(5);
  seats_[2]->connections.set(4);
  EXPECT_FALSE(keep());
  EXPECT_EQ(receive(2), 1);
  service_.count(4);
  EXPECT_TRUE(keep()) << "nobody has fewer";
}

TEST_P(SiblingsTest, NoneGoesToAWorkerThatIsStuck) {
  service_.count(10);
  seats_[2]->accepts.store(0);
  EXPECT_FALSE(keep());
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; })) << "what waited there";
  EXPECT_TRUE(keep());
  seats_[1]->loop.turns.add();
  EXPECT_TRUE(run_bounded(loop_, [&] { return seats_[1]->loop.turns.add(), !keep(); }));
}

// No loop turns during the pause, not even our own.
TEST_P(SiblingsTest, APauseOfAllMakesNobodyLookStuck) {
  service_.count(10);
  seats_[2]->accepts.store(0);
  EXPECT_FALSE(keep());
  loop_.post([this] {  // two beats at the same time; the second suspects slot 1
    siblings_->beat();
    siblings_->beat();
  });
  loop_.poll().value();
  std::this_thread::sleep_for(3 * BorrowedQueues::kStuck);
  loop_.poll().value();
  EXPECT_FALSE(log_.contains("is stuck"));
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; })) << "but soon";
}

TEST_P(SiblingsTest, NoneGoesToAWorkerWithoutRoomForIt) {
  service_.count(10);
  seats_[1]->capacity.set(1);
  seats_[2]->capacity.set(1);
  EXPECT_FALSE(keep());
  EXPECT_FALSE(keep());
  EXPECT_TRUE(keep()) << "each has one on its way";
}

TEST_P(SiblingsTest, AMailboxThatWasFullIsUsedAgain) {
  service_.count(1'000'000);
  seats_[1]->capacity.set(Seat::kUnlimited);
  seats_[2]->accepts.store(0);
  int sent = 0;
  while (sent < 10'000 && !keep()) ++sent;
  ASSERT_GT(sent, 3);
  ASSERT_LT(sent, 10'000);
  EXPECT_EQ(scoreboard_->coming(1).load(), sent) << "the one that did not fit is not on its way";
  EXPECT_EQ(receive(1), sent);
  EXPECT_EQ(scoreboard_->coming(1).load(), 0);
  EXPECT_FALSE(keep());
  EXPECT_EQ(receive(1), 1);
}

TEST_P(SiblingsTest, ASeatThatDoesNotExistIsNobodys) {
  service_.count(10);
  for (const std::uint32_t number :
       {Scoreboard::kSeats, 0x7fffffffU, 0xfffffffeU, Scoreboard::kNobody}) {
    scoreboard_->set_occupant(1, number);
    scoreboard_->set_occupant(2, number);
    EXPECT_EQ(scoreboard_->occupant(1), nullptr);
    EXPECT_TRUE(keep());
  }
  scoreboard_->set_occupant(1, Scoreboard::kSeats - 1);
  EXPECT_NE(scoreboard_->occupant(1), nullptr);
  EXPECT_EQ(scoreboard_->occupant(Scoreboard::kSlots), nullptr);
}

TEST_P(SiblingsTest, NumbersThatMakeNoSenseOnlyKeepConnectionsHere) {
  service_.count(10);
  for (Seat* seat : {seats_[1], seats_[2]}) {
    seat->connections.set(~std::uint64_t{0});
    seat->most.set(~std::uint64_t{0});
    seat->accepts.store(0xffffffff);
  }
  scoreboard_->coming(1).store(-5);
  EXPECT_TRUE(keep());
  run_for(loop_, milliseconds(30));
}

TEST_P(SiblingsTest, AWorkerThatStartsWithoutAFreeDescriptorHasNoRoom) {
  PlayedService service;
  const UniqueFd lowest(::dup(STDERR_FILENO));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  Siblings siblings(loop_, *scoreboard_, listeners_, mailboxes_, 1, 1);
  EXPECT_TRUE(scoreboard_->has_room(1));
  const rlimit none{static_cast<rlim_t>(lowest.get()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  siblings.serve(service, true);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(scoreboard_->has_room(1));
}

// ---- Messages from siblings ----

TEST_P(SiblingsTest, WithoutADescriptorConnectionsWaitInTheMailbox) {
  ASSERT_TRUE(mailboxes_.send(0, connection_.fd(), {}).value());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd lowest(::dup(STDERR_FILENO));
  const rlimit none{static_cast<rlim_t>(lowest.get()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_LT(run_for(loop_, milliseconds(120)), 60) << "and nobody spins";
  EXPECT_EQ(service_.taken, 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
}

// A complaint of one kind does not suppress one of another kind.
TEST_P(SiblingsTest, EachComplaintIsInTheLog) {
  const std::array<std::byte, 4> other_version{std::byte{2}};
  ASSERT_TRUE(send_with_descriptor(mailboxes_.into(0), other_version, connection_.fd()).ok());
  EXPECT_TRUE(run_bounded(loop_, [&] { return log_.contains("is not a connection"); }));
  service_.refuse = true;
  ASSERT_TRUE(mailboxes_.send(0, connection_.fd(), {}).value());
  EXPECT_TRUE(run_bounded(loop_, [&] { return log_.contains("can't take a connection over"); }));
}

TEST_P(SiblingsTest, WhatWaitsAtTheEndOfADrainIsTaken) {
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::none);
  ASSERT_TRUE(mailboxes_.send(0, connection_.fd(), {}).value());
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::came);
  EXPECT_EQ(service_.taken, 1);
}

TEST_P(SiblingsTest, TheConnectionsOfAnEarlierProgramAreTaken) {
  Mailboxes old;
  ASSERT_FALSE(old.grow(1));
  std::vector<std::pair<UniqueFd, UniqueFd>> ends;
  ends.emplace_back(UniqueFd(::dup(old.into(0))), UniqueFd(::dup(old.out_of(0))));
  Mailboxes fresh;
  fresh.adopt(std::move(ends));
  ASSERT_FALSE(fresh.grow(1));
  PlayedService service;
  Siblings siblings(loop_, *scoreboard_, listeners_, fresh, 0, 0);
  siblings.serve(service, true);
  ASSERT_TRUE(old.send(0, connection_.fd(), {}).value());
  EXPECT_TRUE(run_bounded(loop_, [&] { return service.taken == 1; }));
  old.close();
  EXPECT_LT(run_for(loop_, milliseconds(50)), 30) << "the end is no event for ever";
}

TEST_P(SiblingsTest, AMailboxThatWasShutDownHoldsNothingUp) {
  ::shutdown(mailboxes_.out_of(0), SHUT_RD);
  EXPECT_LT(run_for(loop_, milliseconds(50)), 30);
  retire(1);
  EXPECT_EQ(offer(), HandOverReply::never);
  service_.end_all();
  EXPECT_TRUE(done_);
}

// ---- Hand-over ----

TEST_P(SiblingsTest, ARetiringWorkerStaysUntilItsConnectionsAreTaken) {
  retire(1);
  EXPECT_EQ(offer(), HandOverReply::taken);
  run_for(loop_, milliseconds(100));
  EXPECT_FALSE(done_);
  EXPECT_EQ(service_.taken, 0) << "nor does it take them itself";
  EXPECT_EQ(receive(0), 1);
  EXPECT_TRUE(run_bounded(loop_, [&] { return done_; }));
}

TEST_P(SiblingsTest, WhatNobodyTakesGoesOnHere) {
  retire(2);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 2; }));
  EXPECT_EQ(scoreboard_->coming(0).load(), 0);
  EXPECT_FALSE(done_);
  EXPECT_EQ(offer(), HandOverReply::busy) << "for a while";
  run_for(loop_, milliseconds(50));
  EXPECT_FALSE(done_);
  service_.end_all();
  EXPECT_TRUE(run_bounded(loop_, [&] { return done_; }));
}

// A slow worker must get them before this one gives up handing over, and cuts idle clients off.
TEST_P(SiblingsTest, WhatCameBackWaitsLongerTheNextTime) {
  retire(1);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
  EXPECT_TRUE(run_bounded(loop_, [&] { return offer() == HandOverReply::taken; }));
  run_for(loop_, HandOverSender::kPatience + 3 * HandOverSender::kLookInterval);
  EXPECT_EQ(service_.taken, 1) << "it came back as soon as the first time";
  EXPECT_EQ(receive(0), 1);
  EXPECT_TRUE(run_bounded(loop_, [&] { return done_; }));
}

TEST_P(SiblingsTest, EachFullMailboxIsWatchedForRoom) {
  Seat* const heir = retire(1'000'000);
  const auto fill = [&] {
    int sent = 0;
    while (sent < 10'000 && offer() == HandOverReply::taken) ++sent;
    ASSERT_GT(sent, 3);
    ASSERT_LT(sent, 10'000);
  };
  fill();
  heir->capacity.set(1);
  seats_[2]->accepts.store(0);
  fill();
  run_for(loop_, milliseconds(20));
  EXPECT_EQ(service_.retries, 0);
  EXPECT_GT(receive(1), 3) << "the second one that was full";
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.retries > 0; }));
  run_for(loop_, milliseconds(20));
  EXPECT_EQ(service_.retries, 1);
}

TEST_P(SiblingsTest, AHeirWithoutRoomGetsNone) {
  Seat* const heir = retire(3);
  heir->capacity.set(1);
  seats_[1]->capacity.set(1);
  seats_[2]->accepts.store(0);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(receive(0), 1);
  heir->connections.set(1);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(receive(1), 1) << "a sibling has room";
  seats_[1]->connections.set(1);
  EXPECT_EQ(offer(), HandOverReply::busy);
  heir->connections.set(0);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(receive(0), 1);
}

TEST_P(SiblingsTest, AHeirThatDiedGetsNone) {
  retire(1);
  scoreboard_->set_occupant(0, Scoreboard::kNobody);
  seats_[1]->accepts.store(0);
  seats_[2]->accepts.store(0);
  EXPECT_EQ(offer(), HandOverReply::busy);
  sit(0);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(receive(0), 1);
}

// The new program's workers have a scoreboard of their own, and each has the same slot there.
TEST_P(SiblingsTest, AtAnUpgradeConnectionsGoToOurOwnSlot) {
  seats_[0]->capacity.set(1);
  service_.count(2);
  siblings_->hand_over(0, [this] { done_ = true; });
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(offer(), HandOverReply::taken);
  EXPECT_EQ(receive(0), 2);
  EXPECT_TRUE(run_bounded(loop_, [&] { return done_; }));
}

TEST_P(SiblingsTest, WhatFindsNoPlaceInTimeIsDrained) {
  retire(1)->capacity.set(1);
  siblings_->finish_here();
  EXPECT_TRUE(service_.drained);
  EXPECT_FALSE(done_);
  service_.end_all();
  EXPECT_TRUE(done_);
}

INSTANTIATE_TEST_SUITE_P(Backends, SiblingsTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::prefork
