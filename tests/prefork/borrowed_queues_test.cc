// SPDX-License-Identifier: MIT
// The queues from which a worker accepts. The service and the other workers are simulated.
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "tests/prefork/siblings_kit.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;

// Three slots with a listener each.
class BorrowedQueuesTest : public SiblingsTest {
 protected:
  using Kind = Message::Kind;

  void SetUp() override {
    Options options;
    options.addresses = {Address::loopback(0)};
    options.workers = 3;
    ListenerTable::Failure failure;
    Inheritance none;
    ASSERT_TRUE(listeners_.open(options, none, failure));
    SiblingsTest::SetUp();
    if (listeners_.listener(1, 0) < 0) GTEST_SKIP() << "all workers share one listener here";
  }
  [[nodiscard]] int queue(unsigned slot) const { return listeners_.listener(slot, 0); }
  [[nodiscard]] bool borrowed(std::initializer_list<unsigned> slots) const {
    std::set<int> queues;
    for (const unsigned slot : slots) queues.insert(queue(slot));
    return service_.loans == queues;
  }
  void say_look() { siblings_->hear({.kind = Kind::look}, {}); }
  void vacate(unsigned slot) {
    scoreboard_->set_occupant(slot, Scoreboard::kNobody);
    say_look();
  }
  // Sends a connection to `slot`, as one sibling does to another.
  void send_to(unsigned slot) {
    scoreboard_->coming(slot).fetch_add(1);
    ASSERT_TRUE(mailboxes_.send(slot, connection_.fd(), {}).value());
  }
  // Whether nobody listens there. A socket that lets no new connection in does not refuse either,
  // so a client waits then.
  [[nodiscard]] static bool refuses(const Address& address) {
    const UniqueFd client(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (::connect(client.get(), address.data(), address.size()) == 0) return false;
    pollfd wait{client.get(), POLLOUT, 0};
    if (errno == EINPROGRESS) ::poll(&wait, 1, 20);
    return errno == ECONNREFUSED || (wait.revents & POLLERR) != 0;
  }
  [[nodiscard]] bool waits(unsigned slot) const {
    const Result<std::size_t> length = Socket::queue_length(queue(slot));
    return length && *length > 0;
  }
  // Connects until the kernel puts a connection into the queue of `slot`.
  std::vector<Socket> connect_until_one_waits(unsigned slot) {
    std::vector<Socket> clients;
    for (int i = 0; i < 100 && !waits(slot); ++i) {
      clients.push_back(get(Socket::connect(listeners_.addresses().at(0).address)));
    }
    EXPECT_TRUE(waits(slot));
    return clients;
  }
  std::ptrdiff_t lines(std::string_view text) const {
    return std::count_if(log_.lines().begin(), log_.lines().end(), [&](const auto& line) {
      return line.text.find(text) != std::string::npos;
    });
  }
};

TEST_P(BorrowedQueuesTest, ASlotWithoutAWorkerIsServedUntilItHasOne) {
  EXPECT_TRUE(borrowed({}));
  vacate(1);
  EXPECT_TRUE(borrowed({1}));
  say_look();
  EXPECT_TRUE(borrowed({1}));
  send_to(1);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; })) << "its mailbox too";
  EXPECT_EQ(scoreboard_->coming(1).load(), 0);
  vacate(2);
  EXPECT_TRUE(borrowed({1, 2}));
  seats_[1] = sit(1);
  say_look();
  EXPECT_TRUE(borrowed({2}));
  seats_[1]->loop.turns.add();
  send_to(1);
  EXPECT_TRUE(loop_.poll());
  EXPECT_EQ(service_.taken, 1);
  EXPECT_EQ(receive(1), 1) << "for its own worker";
}

TEST_P(BorrowedQueuesTest, ASlotWithoutAWorkerIsSeenAtABeatIfNoMessageComes) {
  scoreboard_->set_occupant(1, Scoreboard::kNobody);
  scoreboard_->set_occupant(2, Scoreboard::kNobody);
  siblings_->beat();
  EXPECT_TRUE(borrowed({1, 2}));
  seats_[1] = sit(1);
  siblings_->beat();
  EXPECT_TRUE(borrowed({2}));
  EXPECT_FALSE(log_.contains("is stuck"));
}

TEST_P(BorrowedQueuesTest, OurOwnSlotIsNotBorrowed) {
  vacate(0);
  siblings_->beat();
  EXPECT_TRUE(borrowed({}));
}

TEST_P(BorrowedQueuesTest, AFullSiblingsIsServedUntilItHasRoom) {
  seats_[1]->most.set(2);
  seats_[1]->connections.set(1);
  siblings_->beat();
  EXPECT_TRUE(borrowed({}));
  seats_[1]->connections.set(2);
  siblings_->beat();
  EXPECT_TRUE(borrowed({1}));
  seats_[1]->connections.set(3);
  siblings_->beat();
  EXPECT_TRUE(borrowed({1}));
  seats_[1]->connections.set(1);
  siblings_->beat();
  EXPECT_TRUE(borrowed({}));
  EXPECT_FALSE(log_.contains("is stuck"));
}

TEST_P(BorrowedQueuesTest, ASiblingWithoutDescriptorsIsFullToo) {
  seats_[2]->capacity.set(2);
  seats_[2]->connections.set(1);
  siblings_->beat();
  EXPECT_TRUE(borrowed({}));
  seats_[2]->connections.set(2);
  siblings_->beat();
  EXPECT_TRUE(borrowed({2}));
  seats_[2]->accepts.store(0);
  siblings_->beat();
  EXPECT_TRUE(borrowed({})) << "it goes away, and its successor has the queue";
}

TEST_P(BorrowedQueuesTest, AStuckSiblingsIsServedUntilItMoves) {
  const std::vector<Socket> clients = connect_until_one_waits(1);
  seats_[2]->capacity.set(Seat::kUnlimited);
  const auto two_moves = [&] { seats_[2]->loop.turns.add(); };
  siblings_->beat();
  EXPECT_TRUE(borrowed({})) << "at the first look nobody is stuck";
  EXPECT_TRUE(run_bounded(loop_, [&] { return two_moves(), borrowed({1}); }));
  EXPECT_TRUE(log_.contains("worker 1 is stuck"));
  seats_[1]->loop.turns.add();
  EXPECT_TRUE(run_bounded(loop_, [&] { return two_moves(), borrowed({}); }));
  const auto beat = [&] { return two_moves(), siblings_->beat(), borrowed({1}); };
  EXPECT_TRUE(pump(loop_, beat)) << "again";
  EXPECT_EQ(lines("worker 1 is stuck"), 1) << "said once a minute";
}

TEST_P(BorrowedQueuesTest, OneThatSleepsIsNotStuck) {
  const TimePoint begin = monotonic_now();
  for (int looks = 0; looks < 8 || monotonic_now() - begin < 3 * BorrowedQueues::kStuck; ++looks) {
    siblings_->beat();
    EXPECT_TRUE(loop_.run_once(milliseconds(10)));
  }
  EXPECT_TRUE(borrowed({})) << "nothing waits in their queues";
  EXPECT_FALSE(log_.contains("is stuck"));
}

// The worker of slot 1 turns before it counts as stuck. The connections that have waited in its
// queue stay its own, however many they are.
TEST_P(BorrowedQueuesTest, OneThatMovesIsNotStuckThoughMuchWaits) {
  const std::vector<Socket> clients = connect_until_one_waits(1);
  const TimePoint begin = monotonic_now();
  for (int looks = 0; looks < 8 || monotonic_now() - begin < 3 * BorrowedQueues::kStuck; ++looks) {
    for (Seat* const seat : seats_) seat->loop.turns.add();
    siblings_->beat();
    EXPECT_TRUE(loop_.run_once(milliseconds(10)));
  }
  EXPECT_TRUE(borrowed({}));
}

TEST_P(BorrowedQueuesTest, AQueueThatCanNotBeHadIsAskedForAgain) {
  service_.refuse_loans = true;
  vacate(1);
  EXPECT_TRUE(borrowed({}));
  siblings_->beat();
  EXPECT_EQ(lines("can't accept for worker 1"), 1) << "said once a minute";
  send_to(1);
  EXPECT_TRUE(loop_.poll());
  EXPECT_EQ(service_.taken, 0) << "all or nothing";
  service_.refuse_loans = false;
  EXPECT_TRUE(run_bounded(loop_, [&] { return borrowed({1}); })) << "without a beat or a message";
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
}

// The address ends, but each client that connected before that is served.
TEST_P(BorrowedQueuesTest, ADroppedAddressIsServedUpToItsLastClient) {
  const Address address = listeners_.addresses().at(0).address;
  vacate(1);
  EXPECT_TRUE(borrowed({1}));
  std::vector<Socket> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(get(Socket::connect(address)));
  siblings_->hear({.kind = Kind::drop, .value = 0}, {});
  EXPECT_TRUE(service_.loans.empty());
  EXPECT_EQ(listeners_.listener(0, 0), -1);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 12; })) << "from each queue";
  EXPECT_TRUE(run_bounded(loop_, [&] { return refuses(address); }));
  EXPECT_EQ(service_.taken, 12);
  vacate(1);
  EXPECT_TRUE(service_.loans.empty());
}

// A handshake that has begun may take a moment, whatever other address is dropped at the same time.
TEST_P(BorrowedQueuesTest, OneDroppedAddressDoesNotShortenTheTimeOfAnother) {
  const TemporaryFolder folder;
  LastCall last_call(loop_);
  const auto start = [&](const Address& address) {
    Socket socket = get(Socket::listen(address, {}));
    const Address bound = socket.local().value();
    std::vector<UniqueFd> sockets;
    sockets.push_back(socket.release());
    last_call.start(service_, std::move(sockets));
    return bound;
  };
  const Address tcp = start(Address::loopback(0));
  start(folder.socket());
  run_for(loop_, milliseconds(50));
  EXPECT_FALSE(last_call.over());
  const Socket client = get(Socket::connect(tcp));
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
  EXPECT_TRUE(run_bounded(loop_, [&] { return last_call.over(); }));
}

TEST_P(BorrowedQueuesTest, AWorkerStaysForTheLastClientsOfADroppedAddress) {
  const Socket client = get(Socket::connect(listeners_.addresses().at(0).address));
  siblings_->hear({.kind = Kind::drop, .value = 0}, {});
  retire(0);
  service_.end_all();
  EXPECT_FALSE(done_);
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
  service_.end_all();
  EXPECT_TRUE(run_bounded(loop_, [&] { return done_; }));
}

TEST_P(BorrowedQueuesTest, AtTheEndTheLastClientsOfADroppedAddressAreTakenAtOnce) {
  const Socket client = get(Socket::connect(listeners_.addresses().at(0).address));
  siblings_->hear({.kind = Kind::drop, .value = 0}, {});
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::came);
  EXPECT_EQ(service_.taken, 1);
  service_.count(0);
  EXPECT_EQ(siblings_->take_rest(), Siblings::Rest::none);
}

TEST_P(BorrowedQueuesTest, OneThatLeavesGivesAllBack) {
  seats_[2]->most.set(1);
  seats_[2]->connections.set(1);
  siblings_->beat();
  vacate(1);
  EXPECT_TRUE(borrowed({1, 2}));
  retire(1);
  EXPECT_TRUE(borrowed({}));
  siblings_->beat();
  say_look();
  EXPECT_TRUE(borrowed({})) << "nor does it borrow again";
  send_to(1);
  EXPECT_TRUE(loop_.poll());
  EXPECT_EQ(receive(1), 1) << "nor does it take from their mailboxes";
}

// Before a worker can look after a new slot, the master sends it the slot's listener and both ends
// of the slot's mailbox.
TEST_P(BorrowedQueuesTest, ASlotThatIsNewIsLookedAfterLikeTheOthers) {
  ASSERT_FALSE(listeners_.grow(listeners_.slots() + 1));
  const std::vector<Socket> listeners = get(listeners_.listeners_of(3));
  Mailboxes masters;
  ASSERT_FALSE(masters.grow(4));
  const auto tell = [&](std::uint32_t value, int fd) {
    Message message{.kind = Kind::sibling};
    message.slot = 3;
    message.value = value;
    siblings_->hear(message, UniqueFd(::dup(fd)));
  };
  const auto look = [&] {
    siblings_->beat();
    say_look();
  };
  look();
  tell(0, listeners.at(0).fd());
  look();
  tell(Message::kMailboxIn, masters.into(3));
  look();
  EXPECT_TRUE(borrowed({})) << "it is not known yet";
  EXPECT_EQ(lines("can't accept for worker 3"), 0);
  tell(Message::kMailboxOut, masters.out_of(3));
  say_look();
  EXPECT_TRUE(borrowed({3}));
  ASSERT_TRUE(masters.send(3, connection_.fd(), {}).value());
  EXPECT_TRUE(run_bounded(loop_, [&] { return service_.taken == 1; }));
}

INSTANTIATE_TEST_SUITE_P(Backends, BorrowedQueuesTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::prefork
