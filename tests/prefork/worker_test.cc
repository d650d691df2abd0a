// SPDX-License-Identifier: MIT
// A complete worker in the test's process. Its master is simulated.
#include "reactor/prefork/worker.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "reactor/net/server.h"
#include "reactor/prefork/internal/worker_forked.h"
#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/pipes.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;

class Idle final : public StreamHandler {
  void on_data(Stream&, std::span<std::byte>) override {}
  HandOver on_hand_over(Stream&, std::vector<std::byte>&) override { return HandOver::now; }
};

// The worker under test serves slot 0. A worker that does not look into its mailbox serves slot 1.
class WorkerTest : public BackendTest {
 protected:
  void SetUp() override {
    ASSERT_FALSE(mailboxes_.grow(2));
    scoreboard_->set_slots(slots_at_first_);
    const std::uint32_t seat = scoreboard_->take_seat();
    scoreboard_->set_occupant(0, seat);
    const std::uint32_t other = scoreboard_->take_seat();
    scoreboard_->set_occupant(1, other);
    scoreboard_->seat(other).accepts.store(1);
    scoreboard_->seat(other).capacity.set(Seat::kUnlimited);
    options_.backend = GetParam();
    auto control = make_control().value();
    master_ = std::move(control.master);
    auto forked = std::make_unique<Worker::Forked>(
        Worker::Forked{std::move(control.worker), *scoreboard_, seat, slots_, mailboxes_, held_});
    worker_ = std::make_unique<Worker>(options_, options_, 0, Worker::Sockets{}, std::move(forked));
    server_ = Server<Idle>::listen(worker_->loop(), Address::loopback(0), {}).value();
    client_ = Socket::connect(server_->addresses().at(0)).value();
    ASSERT_TRUE(run_bounded(worker_->loop(), [&] { return server_->connections() == 1; }));
  }
  // Serves until there are that many connections, or for kLimit.
  void serve_until_there_are(std::size_t connections) {
    Timer end = worker_->loop().every(milliseconds(1), [&] {
      if (server_->connections() == connections) worker_->loop().stop();
    });
    Timer limit = worker_->loop().after(kLimit, [&] { worker_->loop().stop(); });
    EXPECT_EQ(worker_->serve(*server_), kExitOk);
  }
  void retire() {
    ASSERT_TRUE(master_.send({.kind = Message::Kind::retire, .slot = 0, .value = 1}));
  }

  FdGuard guard_;
  LogCapture log_;
  Options options_;
  std::unique_ptr<Scoreboard> scoreboard_ = Scoreboard::make().value();
  ListenerTable slots_;
  Mailboxes mailboxes_;
  Control master_;
  bool held_ = false;
  unsigned slots_at_first_ = 2;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Server<Idle>> server_;
  Socket client_;
};

// Nothing else keeps the worker's loop alive: no timer, and no other connection.
TEST_P(WorkerTest, StaysUntilItsConnectionsAreTaken) {
  retire();
  bool taken = false;
  Timer heir = worker_->loop().after(milliseconds(100), [&] {
    Result<MailedConnection> mailed = mailboxes_.receive(mailboxes_.out_of(1));
    taken = mailed && mailed->connection;
  });
  heir.unref();
  EXPECT_EQ(worker_->serve(*server_), kExitOk);
  EXPECT_TRUE(taken);
  EXPECT_FALSE(mailboxes_.waits(1));
}

TEST_P(WorkerTest, EndsWhenTheConnectionsThatCameBackAreOver) {
  retire();
  // This timer keeps the loop alive, as a datagram socket does.
  Timer other = worker_->loop().after(std::chrono::hours(1), [] {});
  Timer end = worker_->loop().every(milliseconds(20), [&] {
    // The connection was sent to slot 1, and taken back.
    if (log_.contains("go on in worker 0")) client_ = Socket();
  });
  end.unref();
  const TimePoint start = monotonic_now();
  EXPECT_EQ(worker_->serve(*server_), kExitOk);
  EXPECT_LT(monotonic_now() - start, options_.graceful_timeout / 2) << "where it is given up";
  EXPECT_FALSE(mailboxes_.waits(1));
}

// ---- A worker that was alone, and has no timeout ----

class LoneWorkerTest : public WorkerTest {
 protected:
  LoneWorkerTest() {
    slots_at_first_ = 1;
    options_.timeout = Duration::zero();
  }
};

TEST_P(LoneWorkerTest, LooksAfterTheSiblingThatItGets) {
  ASSERT_TRUE(
      master_.send({.kind = Message::Kind::sibling, .slot = 1, .value = Message::kMailboxIn},
                   mailboxes_.into(1)));
  scoreboard_->set_occupant(1, Scoreboard::kNobody);
  const FdPair pair = make_tcp_pair();
  ASSERT_TRUE(mailboxes_.send(1, pair.near.get(), {}).value());
  serve_until_there_are(2);
  EXPECT_EQ(server_->connections(), 2U) << "no message said that the sibling is gone";
}

// ---- During an upgrade ----

class HeldWorkerTest : public WorkerTest {
 protected:
  HeldWorkerTest() { held_ = true; }
  // Returns whether the worker served before it ended.
  bool serves() {
    bool served = false;
    Deferred in_the_loop = worker_->loop().deferred([&] {
      served = true;
      worker_->loop().stop();
    });
    in_the_loop.schedule();
    EXPECT_EQ(worker_->serve(*server_), kExitOk);
    return served;
  }
};

TEST_P(HeldWorkerTest, ServesWhenItIsReleasedAndHasHeardTheNews) {
  const FdPair pair = make_tcp_pair();
  ASSERT_TRUE(mailboxes_.send(1, pair.near.get(), {}).value());
  scoreboard_->set_occupant(1, Scoreboard::kNobody);
  ASSERT_TRUE(master_.send({.kind = Message::Kind::look}));
  ASSERT_TRUE(master_.send({.kind = Message::Kind::serve}));
  serve_until_there_are(2);
  EXPECT_EQ(server_->connections(), 2U) << "it takes what waits for the slot without a worker";
}

TEST_P(HeldWorkerTest, NeverServesIfItIsToRetire) {
  ASSERT_TRUE(master_.send({.kind = Message::Kind::look}));
  retire();
  EXPECT_FALSE(serves());
}

TEST_P(HeldWorkerTest, NeverServesWithoutAMaster) {
  master_.close();
  EXPECT_FALSE(serves());
}

INSTANTIATE_TEST_SUITE_P(Backends, WorkerTest, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, LoneWorkerTest, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, HeldWorkerTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::prefork
