// SPDX-License-Identifier: MIT
// The Siblings of a worker, with a simulated service and simulated workers: no process is forked.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <utility>

#include "reactor/prefork/internal/siblings/siblings.h"
#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"

namespace reactor::prefork {

// Counts the calls. Its connections are only a number.
class PlayedService final : public Service {
 public:
  void drain(Callback<void()> done) override {
    drained = true;
    done_ = std::move(done);
  }
  void hand_over(HandOverTarget& next, Callback<void()> done) override {
    successor = &next;
    done_ = std::move(done);
  }
  void offer_again() override { ++retries; }
  Result<> adopt_connection(Socket, std::span<const std::byte>) override {
    if (refuse) return make_error_code(std::errc::bad_message);
    ++taken;
    count(connections_ + 1);
    return {};
  }
  void share_listeners() override {}
  Result<> borrow(int listener) override {
    if (refuse_loans) return make_error_code(std::errc::too_many_files_open);
    EXPECT_TRUE(loans.insert(listener).second) << "it is borrowed already";
    return {};
  }
  void give_back(int listener) noexcept override { loans.erase(listener); }
  void set_placement(Callback<bool(const Socket&)> placement) override {
    keep = std::move(placement);
  }
  void set_counter(Counter& connections) noexcept override {
    counter_ = &connections;
    count(connections_);
  }
  void set_on_room(Callback<void()> room) override { on_room = std::move(room); }
  void set_limit(std::uint64_t, Callback<void()>) override {}
  [[nodiscard]] std::size_t connections() const noexcept override { return connections_; }
  [[nodiscard]] std::size_t most_connections() const noexcept override { return most; }
  [[nodiscard]] std::uint64_t accepted() const noexcept override { return 0; }

  void count(std::size_t connections) {
    connections_ = connections;
    if (counter_ != nullptr) counter_->set(connections);
  }
  // Offers an idle connection, as Server does.
  HandOverReply offer(int fd) {
    const HandOverReply answer = successor->send(fd, {});
    if (answer == HandOverReply::taken) count(connections_ - 1);
    say_if_done();
    return answer;
  }
  void end_all() {
    count(0);
    say_if_done();
  }
  // Calls the callback once, as Server does, even if connections come back later.
  void say_if_done() {
    if (connections_ == 0 && done_) std::exchange(done_, {})();
  }

  Callback<bool(const Socket&)> keep;
  Callback<void()> on_room;
  std::size_t most = 10'000'000;
  HandOverTarget* successor = nullptr;
  int taken = 0, retries = 0;
  bool drained = false, refuse = false, refuse_loans = false;
  std::set<int> loans;  // listeners of other slots that it accepts from

 private:
  Counter* counter_ = nullptr;
  Callback<void()> done_;
  std::size_t connections_ = 0;
};

// The worker under test ("we") serves slot 0. Other workers serve slots 1 and 2.
class SiblingsTest : public LoopTest {
 protected:
  void SetUp() override {
    ASSERT_FALSE(mailboxes_.grow(3));
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    connection_ = Socket(UniqueFd(ends[0]));
    peer_.reset(ends[1]);
    for (unsigned slot = 0; slot < 3; ++slot) seats_[slot] = sit(slot);
    siblings_ = std::make_unique<Siblings>(loop_, *scoreboard_, listeners_, mailboxes_, 0,
                                           static_cast<std::uint32_t>(0));
    siblings_->serve(service_, true);
  }
  // Gives a seat and `slot` to a new worker with room for many connections.
  Seat* sit(unsigned slot) {
    const std::uint32_t number = scoreboard_->take_seat();
    Seat& seat = scoreboard_->seat(number);
    seat.accepts.store(1);
    seat.capacity.set(1000);
    scoreboard_->set_occupant(slot, number);
    return &seat;
  }
  // Limits our own connections.
  void limit(std::size_t most) {
    service_.most = most;
    seats_[0]->most.set(most);
  }
  // Sends us a connection, as a sibling does.
  void send_to_us(std::span<const std::byte> state) {
    scoreboard_->coming(0).fetch_add(1);
    EXPECT_TRUE(mailboxes_.send(0, connection_.fd(), state).value());
  }
  bool keep() { return service_.keep(connection_); }
  HandOverReply offer() { return service_.offer(connection_.fd()); }
  // Gives our slot to a successor, and starts the hand-over of `connections` connections. Returns
  // the successor's seat.
  Seat* retire(std::size_t connections) {
    Seat* const heir = sit(0);
    service_.count(connections);
    siblings_->hand_over(0, [this] { done_ = true; });
    return heir;
  }
  // Takes the connections out of the mailbox of `slot`, and returns their number.
  int receive(unsigned slot) {
    int count = 0;
    while (mailboxes_.receive(mailboxes_.out_of(slot)).value().connection) {
      scoreboard_->coming(slot).fetch_sub(1);
      ++count;
    }
    return count;
  }

  FdGuard guard_;
  LogCapture log_;
  Loop loop_{options()};
  std::unique_ptr<Scoreboard> scoreboard_ = Scoreboard::make().value();
  ListenerTable listeners_;
  Mailboxes mailboxes_;
  Socket connection_;
  UniqueFd peer_;
  PlayedService service_;
  std::array<Seat*, 3> seats_{};
  std::unique_ptr<Siblings> siblings_;
  bool done_ = false;
};

}  // namespace reactor::prefork
