// SPDX-License-Identifier: MIT
// HTTP connections that move to another server.
#include <memory>
#include <string>
#include <vector>

#include "tests/support/http_kit.h"
#include "tests/support/mail.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HttpHandOver : public HttpTest {
 protected:
  void TearDown() override {
    next.reset();
    HttpTest::TearDown();
  }
  void serve_both(Options options = {}) {
    const Duration keep_alive = options.keep_alive;
    serve_both(std::move(options), keep_alive);
  }
  void serve_both(Options options, Duration keep_alive_there) {
    Options other;
    other.keep_alive = keep_alive_there;
    serve(
        [this](const Request& request, Response& response) {
          if (request.target == "/later") {
            responder = response.defer();
          } else {
            response.body("old");
          }
        },
        std::move(options));
    next = get(Server::listen(
        loop, Address::loopback(0),
        [](const Request&, Response& response) { response.body("new"); }, std::move(other)));
  }
  void go() {
    server->hand_over(mail, [this] { done = true; });
  }
  bool gone() {
    return pump(loop, [&] {
      if (mail.deliver(*next) > 0) server->offer_again();
      return done;
    });
  }
  bool answers(Peer& peer, std::string_view content) {
    peer.got.clear();
    peer.write(get_request());
    return until(peer, content) && content_of(peer.got) == content &&
           count(peer.got, "Connection: close") == 0;
  }

  Mail mail;
  Responder responder;
  bool done = false;
  std::unique_ptr<Server> next;
};

TEST_P(HttpHandOver, AThousandIdleConnectionsGoOnThere) {
  serve_both();
  std::vector<Peer> peers(1000);
  for (Peer& peer : peers) {
    peer = client();
    ASSERT_TRUE(answers(peer, "old"));
  }
  const Ticks ticks(loop);
  go();
  EXPECT_TRUE(gone());
  mail.deliver(*next);
  EXPECT_LT(ticks.count, 100) << "a second";
  EXPECT_EQ(next->connections(), peers.size());
  for (Peer& peer : peers) ASSERT_TRUE(answers(peer, "new")) << peer.got << peer.end;
}

TEST_P(HttpHandOver, AResponseThatComesLaterComesAndThenTheConnectionMovesAtOnce) {
  serve_both();
  Peer peer = client(get_request("/later"));
  EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
  go();
  run_for(loop, milliseconds(400));  // from now on the server offers the connections rarely
  EXPECT_EQ(mail.asked, 0);
  Response response;
  response.body("after all");
  responder.send(response);
  const Ticks ticks(loop);
  EXPECT_TRUE(gone());
  EXPECT_LT(ticks.count, 15);
  EXPECT_TRUE(until(peer, "after all"));
  EXPECT_EQ(count(peer.got, "Connection: close"), 0U);
  EXPECT_TRUE(answers(peer, "new"));
}

TEST_P(HttpHandOver, APartOfARequestIsNotLeftBehind) {
  serve_both();
  Peer head = client("GET / HTTP/1.1\r\nHo");
  Peer body = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 2; }));
  run_for(loop, milliseconds(20));
  go();
  run_for(loop, milliseconds(50));
  EXPECT_EQ(mail.asked, 0);
  head.write("st: a\r\n\r\n");
  body.write("cd");
  EXPECT_TRUE(until(head, "old"));
  EXPECT_TRUE(until(body, "old"));
  EXPECT_TRUE(gone());
  mail.deliver(*next);
  EXPECT_TRUE(answers(head, "new"));
  EXPECT_TRUE(answers(body, "new"));
}

TEST_P(HttpHandOver, OneThatIsNeverIdleIsToldToEnd) {
  serve_both();
  Peer peer = client(get_request("/later"));
  EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
  go();
  run_for(loop, milliseconds(2800));  // longer than the server waits for it
  Response response;
  response.body("the last");
  responder.send(response);
  EXPECT_TRUE(until_over(peer));
  EXPECT_EQ(count(peer.got, "Connection: close"), 1U) << peer.got;
  EXPECT_TRUE(gone());
}

TEST_P(HttpHandOver, WhatTheSuccessorRefusesIsClosedPolitely) {
  Options options;
  options.drain_spread = milliseconds(200);
  serve_both(std::move(options));
  mail.refuses = true;
  Peer idle = client(), busy = client();
  ASSERT_TRUE(answers(idle, "old"));
  ASSERT_TRUE(answers(busy, "old"));
  go();
  EXPECT_TRUE(run_bounded(loop, [&] { return mail.asked == 2; }));
  busy.got.clear();
  busy.write(get_request());
  EXPECT_TRUE(until_over(busy));
  EXPECT_TRUE(until_over(idle));
  EXPECT_TRUE(busy.got.empty() || count(busy.got, "Connection: close") == 1U) << busy.got;
  EXPECT_TRUE(gone());
  EXPECT_EQ(mail.asked, 2) << "once each";
}

TEST_P(HttpHandOver, TheWaitForTheNextRequestGoesOn) {
  Peer peer;
  TimePoint start;
  std::unique_ptr<Ticks> ticks;
  ASSERT_TRUE(once_undisturbed([&] {  // it must move within the 300 ms that are left
    Options options;
    options.keep_alive = milliseconds(1200);
    serve_both(std::move(options));
    done = false;
    peer = client();
    start = monotonic_now();
    if (!answers(peer, "old")) return false;
    ticks = std::make_unique<Ticks>(loop);
    run_for(loop, milliseconds(900));
    go();
    EXPECT_TRUE(gone());
    return mail.deliver(*next) > 0 || next->connections() > 0;
  }));
  EXPECT_TRUE(until_over(peer));
  EXPECT_LT(ticks->count, 170) << "it began anew";
  EXPECT_GE(monotonic_now() - start, milliseconds(1150));
}

TEST_P(HttpHandOver, TheWaitIsNoLongerThanTheNextServersOwn) {
  serve_both({}, milliseconds(50));
  Peer peer = client();
  ASSERT_TRUE(answers(peer, "old"));
  go();
  EXPECT_TRUE(gone());
  mail.deliver(*next);
  EXPECT_TRUE(until_over(peer)) << "75 s were left";
}

TEST_P(HttpHandOver, AServerWithoutAKeepAliveTimeWaitsAsLongAsItTakes) {
  Options options;
  options.keep_alive = Duration::zero();
  serve_both(std::move(options));
  Peer peer = client();
  ASSERT_TRUE(answers(peer, "old"));
  go();
  EXPECT_TRUE(gone());
  mail.deliver(*next);
  run_for(loop, milliseconds(50));
  EXPECT_TRUE(answers(peer, "new"));
}

TEST_P(HttpHandOver, AfterARequestThereTheWaitIsAWholeOne) {
  Peer peer;
  TimePoint start;
  ASSERT_TRUE(once_undisturbed([&] {  // it must move within the 300 ms that are left
    Options options;
    options.keep_alive = milliseconds(600);
    serve_both(std::move(options));
    done = false;
    peer = client();
    if (!answers(peer, "old")) return false;
    run_for(loop, milliseconds(300));
    go();
    EXPECT_TRUE(gone());
    mail.deliver(*next);
    start = monotonic_now();
    return answers(peer, "new");
  }));
  EXPECT_TRUE(until_over(peer));
  EXPECT_GE(monotonic_now() - start, milliseconds(550));
}

// The state may come from another version, or be garbage. The result is an error or a new
// connection, never a crash.
TEST_P(HttpHandOver, AnyStateIsBorne) {
  serve_both();
  std::vector<std::byte> good;
  struct Keep final : HandOverTarget {
    explicit Keep(std::vector<std::byte>& where) : kept(where) {}
    HandOverReply send(int, std::span<const std::byte> state) noexcept override {
      kept.assign(state.begin(), state.end());
      return HandOverReply::taken;
    }
    std::vector<std::byte>& kept;
  } keep(good);
  Peer peer = client();
  ASSERT_TRUE(answers(peer, "old"));
  server->hand_over(keep, [this] { done = true; });
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  ASSERT_FALSE(good.empty());
  for (std::size_t size = 0; size <= good.size() + 1; ++size) {
    for (const unsigned flip : {0U, 1U, 0x80U, 0xffU}) {
      std::vector<std::byte> state = good;
      state.resize(size);
      if (size > 0) state.back() ^= static_cast<std::byte>(flip);
      FdPair pair = make_tcp_pair();
      Peer other;
      other.fd = std::move(pair.far);
      const Result<> taken = next->adopt_connection(Socket(std::move(pair.near)), state);
      if (taken) {
        EXPECT_TRUE(answers(other, "new") || other.end) << size << " " << flip;
      } else {
        EXPECT_TRUE(until_over(other));
      }
    }
  }
}

// ---- Connections after an upgrade to another protocol ----

struct Shout final : StreamHandler {
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    stream.write("!");
    stream.write(bytes);
  }
  HandOver on_hand_over(Stream&, std::vector<std::byte>& state) override {
    state.assign(2, std::byte{'s'});
    return HandOver::now;
  }
  void on_adopt(Stream&, std::span<const std::byte> state) override { adopted = state.size(); }
  std::size_t adopted = 0;
};

TEST_P(HttpHandOver, AnUpgradedConnectionGoesOnWithAHandlerOfItsKindOrEnds) {
  Shout here, there;
  for (const bool goes_on : {true, false}) {
    done = false;
    serve([&](const Request&, Response& response) { response.upgrade("shout", here); });
    Options options;
    if (goes_on) options.on_adopt_upgraded = [&]() -> StreamHandler* { return &there; };
    next = get(Server::listen(
        loop, Address::loopback(0), [](const Request&, Response&) {}, std::move(options)));
    Peer peer = client(get_request("/", "Connection: upgrade\r\nUpgrade: shout\r\n"));
    ASSERT_TRUE(until(peer, "\r\n\r\n"));
    go();
    EXPECT_TRUE(pump(loop, [&] { return done; }));
    mail.deliver(*next);
    peer.got.clear();
    peer.write("hey");
    if (goes_on) {
      EXPECT_TRUE(until(peer, "!hey"));
      EXPECT_EQ(there.adopted, 2U);
    } else {
      EXPECT_TRUE(until_over(peer));
      EXPECT_EQ(peer.got, "");
    }
    peer.fd.reset();
    next.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, HttpHandOver, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
