// SPDX-License-Identifier: MIT
// No worker gets more new connections than its limit allows.
#include <sys/resource.h>

#include "reactor/base/internal/descriptors.h"
#include "tests/prefork/siblings_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;

class SiblingsLimitTest : public SiblingsTest {};

TEST_P(SiblingsLimitTest, NoneGoesToAWorkerThatIsFullWithThoseOnTheirWay) {
  service_.count(10);
  seats_[1]->connections.set(1);
  seats_[1]->most.set(2);
  seats_[2]->most.set(2);
  seats_[2]->connections.set(2);
  EXPECT_FALSE(keep());
  EXPECT_TRUE(keep()) << "each is full, or will be";
  EXPECT_EQ(receive(1), 1);
  EXPECT_EQ(receive(2), 0);
}

// A worker can accept a connection although it is full, if several workers share the socket.
TEST_P(SiblingsLimitTest, OneThatIsFullPassesOnWhatItHasAcceptedOrLetsItWait) {
  limit(3);
  service_.count(3);
  seats_[1]->connections.set(8);
  seats_[2]->accepts.store(0);
  EXPECT_FALSE(keep());
  EXPECT_EQ(receive(1), 1) << "although it has more";
  seats_[1]->accepts.store(0);
  EXPECT_FALSE(keep());
  EXPECT_TRUE(mailboxes_.waits(0));
  service_.count(2);
  service_.on_room();
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
}

TEST_P(SiblingsLimitTest, AWorkerThatIsFullTakesNoNewConnectionBeforeItHasRoom) {
  limit(2);
  service_.count(1);
  for (int i = 0; i < 3; ++i) send_to_us({});
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
  EXPECT_LT(run_for(loop_, milliseconds(120)), 60) << "and nobody spins";
  EXPECT_EQ(service_.taken, 1);
  EXPECT_EQ(scoreboard_->coming(0).load(), 2);
  service_.count(1);
  service_.on_room();
  // The worker takes it at once, unless it was about to look into the mailbox again.
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 2; }));
  EXPECT_EQ(scoreboard_->coming(0).load(), 1);
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::came) << "at the end, beyond the limit";
  EXPECT_EQ(service_.taken, 3);
  EXPECT_EQ(scoreboard_->coming(0).load(), 0);
}

TEST_P(SiblingsLimitTest, AWorkerThatIsFullTakesOverWhatWaitsBehindNewConnections) {
  limit(1);
  service_.count(1);
  const std::array<std::byte, 1> state{};
  send_to_us({});
  send_to_us(state);
  send_to_us({});
  send_to_us(state);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 2; }));
  run_for(loop_, 2 * MailReceiver::kRetryDelay);
  EXPECT_EQ(service_.taken, 2);
  send_to_us(state);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 3; }));
  EXPECT_EQ(scoreboard_->coming(0).load(), 2);
}

TEST_P(SiblingsLimitTest, AtTheEndNothingIsLeftThatCanOnlyBeTakenLater) {
  send_to_us({});
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto lowest = static_cast<rlim_t>(lowest_free_descriptor(peer_.get()));
  const rlimit none{lowest, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Siblings::Rest rest = siblings_->take_rest();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(rest, Siblings::Rest::waits);
  EXPECT_EQ(service_.taken, 0);
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::came);
  EXPECT_EQ(service_.taken, 1);
  service_.count(0);
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::none);
}

TEST_P(SiblingsLimitTest, ASiblingWithoutDescriptorsIsHelped) {
  seats_[1]->connections.set(5);
  seats_[1]->capacity.set(5);
  scoreboard_->coming(1).fetch_add(1);
  ASSERT_TRUE(mailboxes_.send(1, connection_.fd(), {}).value());
  siblings_->beat();
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
  seats_[1]->capacity.set(6);
  siblings_->beat();
  scoreboard_->coming(1).fetch_add(1);
  ASSERT_TRUE(mailboxes_.send(1, connection_.fd(), {}).value());
  run_for(loop_, milliseconds(20));
  EXPECT_EQ(service_.taken, 1) << "it can help itself";
}

INSTANTIATE_TEST_SUITE_P(Backends, SiblingsLimitTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::prefork
