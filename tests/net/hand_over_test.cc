// SPDX-License-Identifier: MIT
// In these tests, connections move between two servers. They pass through a socket pair, as they do
// between two processes.

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "reactor/net/server.h"
#include "tests/support/fd_guard.h"
#include "tests/support/few_descriptors.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/mail.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

struct Ways {
  HandOver wish = HandOver::now;
  bool ends = true;  // whether a connection closes when it is asked to end
  int opened = 0, adopted = 0, closed = 0, asked_to_end = 0;
  std::string state;
  Callback<void()> when_asked;    // called when a connection is asked to end
  Callback<void()> when_offered;  // called when a connection is offered
};

class Mover final : public StreamHandler {
 public:
  using Context = Ways;
  explicit Mover(Ways& ways) : ways_(ways) {}
  void on_open(Stream&) override { ++ways_.opened; }
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write_now(bytes); }
  HandOver on_hand_over(Stream&, std::vector<std::byte>& state) override {
    state.assign(3, std::byte{'m'});
    if (ways_.when_offered) ways_.when_offered();
    return ways_.wish;
  }
  void on_adopt(Stream&, std::span<const std::byte> state) override {
    ++ways_.adopted;
    ways_.state.assign(reinterpret_cast<const char*>(state.data()), state.size());
  }
  void on_shutdown(Stream& stream) override {
    ++ways_.asked_to_end;
    if (ways_.when_asked) return ways_.when_asked();
    if (ways_.ends) stream.close();
  }
  void on_close(Stream&, std::error_code error) noexcept override {
    EXPECT_FALSE(error);
    ++ways_.closed;
  }

 private:
  Ways& ways_;
};

class HandOverTest : public LoopTest {
 protected:
  void SetUp() override {
    old = get(Server<Mover>::listen(loop, Address::loopback(0), {}, before));
    next = get(Server<Mover>::listen(loop, Address::loopback(0), {}, after));
  }
  Peer client(std::size_t number = 1) {
    Peer peer;
    peer.fd = get(Socket::connect(old->addresses().at(0))).release();
    EXPECT_TRUE(run_bounded(loop, [&] { return old->connections() == number; }));
    return peer;
  }
  void go() {
    old->hand_over(mail, [this] { done = true; });
  }
  bool echoes(Peer& peer, std::string_view text) {
    peer.got.clear();
    peer.write(text);
    return pump(loop, [&] { return peer.read(), peer.got.size() >= text.size() || peer.over(); }) &&
           peer.got == text;
  }

  Loop loop{options()};
  Ways before, after;
  Mail mail;
  bool done = false;
  std::unique_ptr<Server<Mover>> old, next;
};

TEST_P(HandOverTest, AnIdleConnectionGoesOnThereWithItsState) {
  Peer peer = client();
  EXPECT_TRUE(echoes(peer, "here"));
  go();
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  EXPECT_EQ(mail.deliver(*next), 1);
  EXPECT_EQ(before.closed, 1) << "without an error";
  EXPECT_EQ(after.adopted, 1);
  EXPECT_EQ(after.opened, 0);
  EXPECT_EQ(after.state, "mmm");
  EXPECT_EQ(next->connections(), 1U);
  EXPECT_EQ(next->accepted(), 0U);
  EXPECT_TRUE(echoes(peer, "there"));
}

TEST_P(HandOverTest, BytesOnTheirWayAreAnsweredThere) {
  Peer peer = client();
  go();
  peer.write("on their way");
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  peer.write(", and more");
  mail.deliver(*next);
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() >= 22; }));
  EXPECT_EQ(peer.got, "on their way, and more");
}

TEST_P(HandOverTest, WhatIsQueuedLeavesFirst) {
  Peer peer = client();
  const std::string text = pattern(32 << 20);
  std::size_t sent = 0;
  const auto queued = [&] {
    std::size_t bytes = 0;
    old->for_each([&](Stream& stream, Mover&) { bytes = stream.queued(); });
    return bytes > 0;
  };
  EXPECT_TRUE(pump(loop, [&] {
    sent += peer.write(std::string_view(text).substr(sent, 65536));
    return queued();
  }));
  go();
  run_for(loop, milliseconds(30));
  EXPECT_EQ(mail.asked, 0);
  EXPECT_TRUE(pump(loop, [&] {
    peer.read();
    mail.deliver(*next);
    return peer.got.size() >= sent || peer.over();
  }));
  EXPECT_TRUE(peer.got == text.substr(0, sent)) << "each byte, once, in order";
  EXPECT_TRUE(pump(loop, [&] { return mail.deliver(*next), done; }));
  EXPECT_EQ(after.adopted, 1);
}

TEST_P(HandOverTest, AFullMailboxIsTriedAgain) {
  constexpr std::size_t kMany = 600;  // more than a mailbox holds
  std::vector<Peer> peers;
  for (std::size_t i = 1; i <= kMany; ++i) peers.push_back(client(i));
  go();
  EXPECT_TRUE(run_bounded(loop, [&] { return mail.turned_away > 0; }));
  EXPECT_GT(old->connections(), 0U);
  EXPECT_FALSE(done);
  EXPECT_TRUE(pump(loop, [&] {
    if (mail.deliver(*next) > 0) old->offer_again();
    return done;
  }));
  mail.deliver(*next);
  EXPECT_EQ(next->connections(), kMany);
  EXPECT_EQ(before.asked_to_end, 0);
  EXPECT_TRUE(echoes(peers.front(), "first"));
  EXPECT_TRUE(echoes(peers.back(), "last"));
}

TEST_P(HandOverTest, OneThatMayNotMoveIsAskedToFinishOnce) {
  before.wish = HandOver::no;
  before.ends = false;
  Peer peer = client();
  go();
  EXPECT_TRUE(run_bounded(loop, [&] { return before.asked_to_end > 0; }));
  run_for(loop, milliseconds(100));  // time for several offers
  EXPECT_EQ(before.asked_to_end, 1);
  EXPECT_TRUE(echoes(peer, "still here"));
  peer.fd.reset();
  EXPECT_TRUE(pump(loop, [&] { return done; }));
}

TEST_P(HandOverTest, WhatTheSuccessorRefusesEndsHere) {
  mail.refuses = true;
  Peer peer = client();
  go();
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  EXPECT_EQ(before.asked_to_end, 1);
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.end; }));
}

TEST_P(HandOverTest, OneThatIsNeverIdleIsAskedToFinish) {
  before.wish = HandOver::later;
  Peer peer = client();
  go();
  run_for(loop, milliseconds(50));
  EXPECT_EQ(before.asked_to_end, 0);
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  EXPECT_EQ(before.asked_to_end, 1);
}

// A successor that has no room until `room` is set.
struct Busy final : HandOverTarget {
  HandOverReply send(int, std::span<const std::byte>) noexcept override {
    return room ? HandOverReply::taken : HandOverReply::busy;
  }
  bool room = false;
};

// The server waits longer than the 2 s that it gives a connection that is never idle. One backend
// is enough for this slow test.
TEST_P(HandOverTest, ABusySuccessorIsWaitedFor) {
  if (GetParam() != available_backends().front()) GTEST_SKIP();
  Peer peer = client();
  Busy busy;
  old->hand_over(busy, [this] { done = true; });
  run_for(loop, milliseconds(2700));  // with another offer after the 2 s
  EXPECT_EQ(before.asked_to_end, 0);
  busy.room = true;
  old->offer_again();
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  EXPECT_EQ(before.asked_to_end, 0);
}

TEST_P(HandOverTest, OneThatSaysItIsIdleGoesAtOnce) {
  before.wish = HandOver::later;
  Peer peer = client();
  go();
  run_for(loop, milliseconds(400));  // from now on the server offers the connections rarely
  before.wish = HandOver::now;
  old->for_each([](Stream& stream, Mover&) { stream.notify_idle(); });
  EXPECT_TRUE(poll_until(loop, [&] { return done; }));
}

TEST_P(HandOverTest, WhatComesToAServerThatEndsGoesOn) {
  Peer peer = client();
  Peer keeps_it = client(2);
  go();
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  const FdPair pair = make_tcp_pair();
  EXPECT_TRUE(old->adopt_connection(Socket(UniqueFd(::dup(pair.near.get()))), {}));
  EXPECT_TRUE(run_bounded(loop, [&] { return old->connections() == 0; }));
  EXPECT_EQ(mail.deliver(*next), 3);
}

TEST_P(HandOverTest, AnUpgradedConnectionStaysWhereNobodyCouldGoOnWithIt) {
  Peer peer = client();
  Recorder other;
  old->for_each([&](Stream& stream, Mover&) { stream.set_handler(other); });
  go();
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  EXPECT_EQ(other.shutdowns, 1);
  EXPECT_EQ(mail.asked, 0);
}

TEST_P(HandOverTest, DrainAfterwardsEndsTheRest) {
  before.wish = HandOver::later;
  Peer peer = client();
  go();
  run_for(loop, milliseconds(20));
  bool drained = false;
  old->drain([&] { drained = true; });
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
  EXPECT_FALSE(done) << "replaced";
}

// ---- Siblings ----

TEST_P(HandOverTest, AServerAcceptsForASiblingUntilItGivesBack) {
  const Socket theirs = get(Socket::listen(Address::loopback(0), {}));
  const auto before_loan = FdGuard::open_descriptors();
  ASSERT_TRUE(next->borrow(theirs.fd()));
  EXPECT_EQ(next->borrow(theirs.fd()).error(), std::errc::file_exists);
  Peer peer;
  peer.fd = get(Socket::connect(theirs.local().value())).release();
  EXPECT_TRUE(echoes(peer, "hello"));
  peer.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return next->connections() == 0; }));
  next->give_back(theirs.fd());
  EXPECT_EQ(FdGuard::open_descriptors(), before_loan);
  peer.fd = get(Socket::connect(theirs.local().value())).release();
  run_for(loop, milliseconds(20));
  EXPECT_EQ(next->connections(), 0U);
}

TEST_P(HandOverTest, AFullServerLeavesASiblingsQueueAlone) {
  Ways ways;
  ServerLimits limits;
  limits.max_connections = 1;
  const auto full = get(Server<Mover>::listen(loop, Address::loopback(0), limits, ways));
  Peer first, second;
  first.fd = get(Socket::connect(full->addresses()[0])).release();
  EXPECT_TRUE(run_bounded(loop, [&] { return full->connections() == 1; }));
  const Socket theirs = get(Socket::listen(Address::loopback(0), {}));
  ASSERT_TRUE(full->borrow(theirs.fd()));
  second.fd = get(Socket::connect(theirs.local().value())).release();
  EXPECT_LE(run_for(loop, milliseconds(20)), 5) << "it does not spin";
  EXPECT_EQ(full->connections(), 1U);
  first.fd.reset();
  EXPECT_TRUE(echoes(second, "now")) << "room for it";
}

TEST_P(HandOverTest, PlacementMayGiveTheListenerBackAndSendTheConnectionElsewhere) {
  const Socket theirs = get(Socket::listen(Address::loopback(0), {}));
  ASSERT_TRUE(old->borrow(theirs.fd()));
  UniqueFd elsewhere;
  bool keeps = true;
  old->set_placement([&](const Socket& connection) {
    old->give_back(theirs.fd());
    if (!keeps) elsewhere = UniqueFd(::dup(connection.fd()));
    return keeps;
  });
  Peer first, second;
  first.fd = get(Socket::connect(theirs.local().value())).release();
  EXPECT_TRUE(echoes(first, "kept"));
  keeps = false;
  second.fd = get(Socket::connect(old->addresses()[0])).release();
  EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(elsewhere); }));
  EXPECT_EQ(old->connections(), 1U);
  EXPECT_TRUE(next->adopt_connection(Socket(std::move(elsewhere)), {}));
  EXPECT_TRUE(echoes(second, "placed"));
}

TEST_P(HandOverTest, AConnectionThatWasOnlyPlacedIsANewOne) {
  const FdPair pair = make_tcp_pair();
  EXPECT_TRUE(next->adopt_connection(Socket(UniqueFd(::dup(pair.near.get()))), {}));
  EXPECT_EQ(after.opened, 1);
  EXPECT_EQ(after.adopted, 0);
}

// ---- Drain ----

TEST_P(HandOverTest, DrainServesWhatIsQueuedEvenAtTheLimit) {
  Ways ways;
  ServerLimits limits;
  limits.max_connections = 2;
  const auto full = get(Server<Mover>::listen(loop, Address::loopback(0), limits, ways));
  ways.ends = false;
  std::vector<Peer> peers(10);
  for (Peer& peer : peers) {
    peer.fd = get(Socket::connect(full->addresses()[0])).release();
    peer.write("hi");
  }
  run_for(loop, milliseconds(20));
  EXPECT_EQ(full->connections(), 2U);
  bool drained = false;
  full->drain([&] { drained = true; });
  for (Peer& peer : peers) {
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.got == "hi" || peer.over(); }));
    EXPECT_EQ(peer.got, "hi") << peer.error;
  }
  peers.clear();  // no connection ended before this, so the queued ones had to exceed the limit
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
}

TEST_P(HandOverTest, DrainWaitsForDescriptorsBeforeItClosesAQueue) {
  const LogCapture log;
  std::vector<Peer> peers(3);
  for (Peer& peer : peers) {
    peer.fd = get(Socket::connect(old->addresses()[0])).release();
    peer.write("hi");
  }
  bool drained = false;
  {
    const FewDescriptors few(1);
    const UniqueFd last(::dup(STDIN_FILENO));
    old->drain([&] { drained = true; });
    run_for(loop, milliseconds(500));  // the listeners of a drain close after 250 ms
    EXPECT_EQ(old->connections(), 0U);
    EXPECT_FALSE(drained);
  }
  EXPECT_TRUE(pump(loop, [&] { return drained; }));
  for (Peer& peer : peers) {
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), peer.over(); }));
    EXPECT_EQ(peer.got, "hi") << peer.error;
  }
}

TEST_P(HandOverTest, DrainLeavesASocketThatLivesOnAsItWas) {
  Ways ways;
  const Socket original = get(Socket::listen(Address::loopback(0), {}));
  for (const bool shared : {false, true}) {
    std::vector<Socket> sockets;
    sockets.emplace_back(UniqueFd(::dup(original.fd())));
    const auto server = get(Server<Mover>::adopt(loop, std::move(sockets), {}, ways));
    if (shared) server->share_listeners();
    bool drained = false;
    server->drain([&] { drained = true; });
    EXPECT_TRUE(pump(loop, [&] { return drained; }));
    const Socket client = get(Socket::connect(original.local().value()));
    EXPECT_TRUE(pump(loop, [&] { return static_cast<bool>(get(Socket::accept(original.fd()))); }))
        << "its owner is deaf";
  }
}

TEST_P(HandOverTest, AServerThatEndsAmidItsDrainLeavesASocketThatLivesOnAsItWas) {
  Ways ways;
  const Socket original = get(Socket::listen(Address::loopback(0), {}));
  for (const bool in_callback : {false, true}) {
    SCOPED_TRACE(in_callback);
    std::vector<Socket> sockets;
    sockets.emplace_back(UniqueFd(::dup(original.fd())));
    auto server = get(Server<Mover>::adopt(loop, std::move(sockets), {}, ways));
    if (in_callback) ways.when_asked = [&] { server.reset(); };
    const Socket first = get(Socket::connect(original.local().value()));
    EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
    server->drain();
    EXPECT_EQ(server == nullptr, in_callback);
    server.reset();
    const Socket second = get(Socket::connect(original.local().value()));
    EXPECT_TRUE(pump(loop, [&] { return static_cast<bool>(get(Socket::accept(original.fd()))); }))
        << "its owner is deaf";
  }
}

TEST_P(HandOverTest, ADrainAmidAnOfferEndsTheOffers) {
  before.when_offered = [this] { old->drain([this] { done = true; }); };
  for (const HandOver wish : {HandOver::later, HandOver::now}) {
    SetUp();
    done = false;
    before.wish = wish;
    before.asked_to_end = 0;
    std::vector<Peer> peers;
    while (peers.size() < 3) peers.push_back(client(peers.size() + 1));
    go();
    EXPECT_TRUE(pump(loop, [&] { return done; }));
    EXPECT_EQ(before.asked_to_end, 3);
    EXPECT_EQ(mail.asked, 0) << "the target may be gone after a drain";
  }
}

// An earlier server was killed during its drain. If other processes share the socket, one of them
// may be draining it.
TEST_P(HandOverTest, AnAdoptedSocketThatRefusesAcceptsAgainUnlessItIsShared) {
  const Socket original = get(Socket::listen(Address::loopback(0), {}));
  if (!Socket::refuse_new(original.fd())) GTEST_SKIP() << "this system can't refuse";
  for (const bool shared : {true, false}) {
    Ways ways;
    std::vector<Socket> sockets;
    sockets.emplace_back(UniqueFd(::dup(original.fd())));
    const auto server = get(Server<Mover>::adopt(loop, std::move(sockets), {}, ways));
    if (shared) server->share_listeners();
    run_for(loop, milliseconds(5));
    const Socket client = get(Socket::connect(original.local().value()));
    const auto accepted = [&] { return server->connections() == 1; };
    if (shared) run_for(loop, milliseconds(20));
    EXPECT_TRUE(shared ? !accepted() : run_bounded(loop, accepted));
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, HandOverTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
