// SPDX-License-Identifier: MIT
// HTTP connections: the order of responses, limits, timeouts, upgrades to another protocol, and
// drain.
#include "reactor/http/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/http_kit.h"
#include "tests/support/log_capture.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;

class HttpServerTest : public HttpTest {
 protected:
  void serve_ok(Options options = {}) {
    serve([](const Request&, Response& response) { response.body("OK\n"); }, std::move(options));
  }
};

TEST_P(HttpServerTest, AnswersInOrderAndKeepsTheConnection) {
  serve([](const Request& request, Response& response) { response.body(request.target); });
  Peer peer = client(get_request("/1") + get_request("/2"));
  ASSERT_TRUE(until(peer, "\r\n\r\n/2"));
  EXPECT_LT(peer.got.find("\r\n\r\n/1"), peer.got.find("\r\n\r\n/2"));
  peer.write(get_request("/3"));
  EXPECT_TRUE(until(peer, "\r\n\r\n/3"));
}

TEST_P(HttpServerTest, AnErrorComesBehindTheResponsesAndEndsTheConnection) {
  int calls = 0;
  serve([&](const Request&, Response&) { ++calls; });
  Peer peer = client(get_request() + get_request() + "BAD\r\n\r\n" + get_request());
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(count(peer.got, "HTTP/1.1 200 "), 2U);
  EXPECT_EQ(count(peer.got, "HTTP/1.1 400 "), 1U);
  EXPECT_EQ(count(peer.got, "HTTP/1.1 "), 3U);
}

TEST_P(HttpServerTest, TheMethodsThatATargetHasAreNamed) {
  serve([](const Request&, Response& response) { response.not_allowed("GET, HEAD"); });
  Peer peer = client("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(until(peer, "\r\n\r\n"));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 405 ", 0), 0U);
  EXPECT_NE(peer.got.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos);
}

TEST_P(HttpServerTest, NothingCanBeInjected) {
  const LogCapture log;
  serve([](const Request& request, Response& response) {
    response.header("X", request.target == "/cr" ? "a\r\nSet-Cookie: b" : "fine");
    if (request.target == "/name") response.header("X\r\nY", "z");
    if (request.target == "/framing") response.header("content-length", "3");
  });
  for (const char* target : {"/cr", "/name", "/framing"}) {
    Peer peer = client(get_request(target));
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(peer.got.rfind("HTTP/1.1 500 ", 0), 0U) << peer.got;
    EXPECT_EQ(peer.got.find("Set-Cookie"), std::string::npos);
  }
}

TEST_P(HttpServerTest, StatusesAreThoseOfAFinalAnswer) {
  const LogCapture log;
  serve([](const Request& request, Response& response) {
    response.status(std::stoi(std::string(request.target.substr(1))));
  });
  for (const auto& [asked, sent] : {std::pair{200, 200}, std::pair{599, 599}, std::pair{299, 299},
                                    std::pair{199, 500}, std::pair{600, 500}, std::pair{0, 500}}) {
    Peer peer = client(get_request("/" + std::to_string(asked), "Connection: close\r\n"));
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(peer.got.rfind("HTTP/1.1 " + std::to_string(sent) + " ", 0), 0U) << peer.got;
  }
}

TEST_P(HttpServerTest, ConnectWithoutAHandlerForItIsA501) {
  serve_ok();
  Peer peer = client("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 501 ", 0), 0U) << peer.got;
}

TEST_P(HttpServerTest, DateIsRightAfterIdling) {
  serve_ok();
  Peer peer = client(get_request());
  ASSERT_TRUE(until(peer, "OK\n"));
  const std::string first = peer.got.substr(peer.got.find("Date: "), 35);
  peer.got.clear();
  run_for(loop, milliseconds(1100));
  peer.write(get_request());
  ASSERT_TRUE(until(peer, "OK\n"));
  EXPECT_NE(peer.got.substr(peer.got.find("Date: "), 35), first);
}

// ---- Upgrades to another protocol ----

class UpgradeTest : public HttpServerTest {
 protected:
  // Answers /first by `responder`, and hands /chat over to `next`.
  void serve_chat(Options options = {}) {
    serve(
        [this](const Request& request, Response& response) {
          if (request.target == "/first") {
            responder = response.defer();
          } else if (request.target == "/chat") {
            response.upgrade("chat", next);
          } else {
            response.body("OK\n");
          }
        },
        std::move(options));
  }
  static std::string chat_request(std::string_view fields = "") {
    return get_request("/chat", "Connection: upgrade\r\nUpgrade: chat\r\n" + std::string(fields));
  }
  // Returns a client whose later requests wait until answer_first() is called.
  Peer client_that_waits() {
    Peer peer = client(get_request("/first"));
    EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
    return peer;
  }
  void answer_first() { responder.send(Response().body("first")); }

  Recorder next;
  Responder responder;
};

TEST_P(UpgradeTest, HandsTheConnectionOver) {
  next.when_open = [](Stream& stream) { stream.write("welcome;"); };
  next.when_data = [](Stream& stream, std::string_view text) {
    stream.write("[" + std::string(text) + "]");
  };
  serve([&](const Request& request, Response& response) {
    EXPECT_EQ(request.upgrade, "chat");
    response.upgrade("chat", next);
  });
  Peer peer = client(get_request("/", "Connection: upgrade\r\nUpgrade: chat\r\n") + "early");
  ASSERT_TRUE(until(peer, "[early]"));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 101 Switching Protocols\r\n", 0), 0U) << peer.got;
  EXPECT_NE(peer.got.find("\r\nUpgrade: chat\r\n"), std::string::npos);
  EXPECT_NE(peer.got.find("\r\nConnection: upgrade\r\n"), std::string::npos);
  EXPECT_EQ(peer.got.find("Content-Length"), std::string::npos);
  EXPECT_NE(peer.got.find("\r\n\r\nwelcome;[early]"), std::string::npos);
  peer.write("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(until(peer, "[GET / HTTP/1.1\r\n\r\n]")) << "nothing is parsed any more";
  peer.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return next.closes == 1; }));
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
}

TEST_P(UpgradeTest, ConnectBecomesATunnel) {
  next.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  serve([&](const Request& request, Response& response) {
    EXPECT_EQ(request.host, "a:443");
    response.upgrade("", next);
  });
  Peer peer = client("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
  ASSERT_TRUE(until(peer, "\r\n\r\n"));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 200 OK\r\n", 0), 0U) << peer.got;
  EXPECT_EQ(peer.got.find("Content-Length"), std::string::npos);
  EXPECT_EQ(peer.got.find("Transfer-Encoding"), std::string::npos);
  peer.write("through");
  EXPECT_TRUE(until(peer, "through"));
  server.reset();  // closes this connection, too
}

TEST_P(UpgradeTest, ThatNobodyAskedForIsA500) {
  const LogCapture log;
  serve([&](const Request&, Response& response) { response.upgrade("chat", next); });
  Peer peer = client(get_request());
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 500 ", 0), 0U) << peer.got;
  EXPECT_EQ(next.opens, 0);
}

TEST_P(UpgradeTest, ThatWaitedBehindMuchInputIsReadFrom) {
  serve_chat();
  const std::string field = "X: " + std::string(5000, 'x') + "\r\n";
  Peer peer = client_that_waits();
  peer.write(get_request("/other", field));
  settle(peer);
  peer.write(chat_request(field));
  settle(peer);  // so much input waits now that reading is paused
  answer_first();
  ASSERT_TRUE(until(peer, "HTTP/1.1 101 "));
  peer.write("hello");
  EXPECT_TRUE(run_bounded(loop, [&] { return next.got == "hello"; }));
}

TEST_P(UpgradeTest, OfAClientThatHasHalfClosedIsToldSo) {
  for (const char* early : {"", "early"}) {
    next.got.clear();
    next.opens = next.ends = next.closes = 0;
    serve_chat();
    Peer peer = client_that_waits();
    peer.write(chat_request() + early);
    ::shutdown(peer.fd.get(), SHUT_WR);
    settle(peer);
    answer_first();
    ASSERT_TRUE(until_over(peer));
    EXPECT_NE(peer.got.find("HTTP/1.1 101 "), std::string::npos);
    EXPECT_EQ(next.got, early);
    EXPECT_EQ(next.opens, 1);
    EXPECT_EQ(next.ends, 1);
    EXPECT_TRUE(run_bounded(loop, [&] { return next.closes == 1; }));
  }
}

TEST_P(UpgradeTest, DuringADrainIsToldToEnd) {
  Options options;
  options.drain_spread = std::chrono::seconds(60);
  serve_chat(std::move(options));
  Peer peer = client(get_request());
  ASSERT_TRUE(until(peer, "OK\n"));
  bool done = false;
  server->drain([&] { done = true; });
  settle(peer);
  peer.write(chat_request());
  ASSERT_TRUE(until_over(peer));
  EXPECT_NE(peer.got.find("HTTP/1.1 101 "), std::string::npos);
  EXPECT_EQ(next.shutdowns, 1);
  EXPECT_TRUE(run_bounded(loop, [&] { return done; }));
}

// Otherwise the handler would miss the bytes that the client has sent already.
TEST_P(UpgradeTest, WhoseHandlerThrowsEndsTheConnection) {
  for (const Moment moment : {Moment::open, Moment::data}) {
    Recorder thrower;
    thrower.when(moment, [](Stream&) { throw Raised{}; });
    serve([&](const Request&, Response& response) { response.upgrade("chat", thrower); });
    Peer peer = client(chat_request() + "early");
    EXPECT_THROW(static_cast<void>(run_bounded(loop, [&] { return thrower.closes > 0; })), Raised);
    EXPECT_TRUE(run_bounded(loop, [&] { return thrower.closes == 1; }));
    EXPECT_TRUE(thrower.error);
    server.reset();
  }
}

TEST_P(UpgradeTest, NoTimeOutOfHttpHoldsAfterwards) {
  Options options;
  options.keep_alive = options.header_timeout = milliseconds(30);
  serve([&](const Request&, Response& response) { response.upgrade("chat", next); },
        std::move(options));
  Peer peer = client(get_request("/", "Connection: upgrade\r\nUpgrade: chat\r\n"));
  ASSERT_TRUE(until(peer, "101"));
  run_for(loop, milliseconds(100));
  EXPECT_EQ(next.closes + next.timeouts, 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, UpgradeTest, every_backend(), BackendName());

// ---- A client that does not read ----

TEST_P(HttpServerTest, WhatNobodyReadsIsBoundedAndNothingIsLost) {
  constexpr int kRequests = 2000;
  constexpr std::size_t kContent = 15'000;
  serve([](const Request& request, Response& response) {
    response.body(std::string(request.target) + std::string(kContent, '.') + ";");
  });
  Peer peer = client();
  std::string all;
  for (int i = 0; i < kRequests; ++i) all += get_request("/" + std::to_string(i) + "/");
  std::size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    sent += peer.write(std::string_view(all).substr(sent));
    static_cast<void>(loop.poll());
  }
  run_for(loop, milliseconds(20));
  EXPECT_EQ(server->connections(), 1U) << "30 MB of responses wait for it, not in memory";
  ASSERT_TRUE(pump(
      loop,
      [&] {
        sent += peer.write(std::string_view(all).substr(sent));
        peer.read();
        const std::size_t size = peer.got.size();
        const std::size_t last = size - std::min(size, 2 * kContent);
        return peer.over() ||
               (peer.got.ends_with(";") && peer.got.find("/1999/", last) != std::string::npos);
      },
      std::chrono::seconds(30)));
  EXPECT_EQ(count(peer.got, "HTTP/1.1 200 "), std::size_t{kRequests});
  EXPECT_EQ(count(peer.got, ";"), std::size_t{kRequests});
}

// ---- Timeouts ----

TEST_P(HttpServerTest, ASlowHeadIsA408) {
  Options options;
  options.header_timeout = milliseconds(50);
  serve_ok(std::move(options));
  Peer peer = client("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(pump(loop, [&] {
    peer.write("X: y\r\n");  // a trickle does not extend the time
    run_for(loop, milliseconds(5));
    return peer.read(), peer.over() || peer.got.find("\r\n\r\n") != std::string::npos;
  }));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 408 ", 0), 0U) << peer.got;
}

TEST_P(HttpServerTest, OneThatSaysNothingIsClosedWithoutAWord) {
  Options options;
  options.header_timeout = milliseconds(30);
  options.transport.listen.defer_accept = std::chrono::seconds(0);
  serve_ok(std::move(options));
  Peer peer = client();
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got, "");
}

TEST_P(HttpServerTest, KeepAliveEnds) {
  Options options;
  options.keep_alive = milliseconds(50);
  serve_ok(std::move(options));
  Peer peer = client(get_request());
  const TimePoint begin = monotonic_now();
  ASSERT_TRUE(until(peer, "OK\n"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_GE(monotonic_now() - begin, milliseconds(50));
  EXPECT_EQ(peer.error, 0);
}

// ---- Drain ----

TEST_P(HttpServerTest, DrainSpreadsTheEndOfIdleConnections) {
  EXPECT_TRUE(once_undisturbed([&] {
    Options options;
    options.drain_spread = milliseconds(200);
    serve_ok(std::move(options));
    std::vector<Peer> peers;
    for (int i = 0; i < 40; ++i) {
      peers.push_back(client(get_request()));
      EXPECT_TRUE(until(peers.back(), "OK\n"));
    }
    const Ticks ticks(loop);
    bool done = false;
    server->drain([&] { done = true; });
    EXPECT_TRUE(pump(loop, [&] { return server->connections() <= 30; }));
    const bool spread = server->connections() > 5;
    EXPECT_TRUE(pump(loop, [&] { return done; }));
    EXPECT_LT(ticks.count, 200) << "two seconds";
    for (Peer& peer : peers) {
      EXPECT_TRUE(until_over(peer));
      EXPECT_EQ(peer.error, 0);
    }
    return spread;
  })) << "all at once";
}

TEST_P(HttpServerTest, ARequestThatComesWhileItDrainsIsAnswered) {
  Options options;
  options.drain_spread = std::chrono::seconds(10);
  serve_ok(std::move(options));
  Peer peer = client(get_request());
  ASSERT_TRUE(until(peer, "OK\n"));
  peer.got.clear();
  server->drain();
  peer.write(get_request());
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(content_of(peer.got), "OK\n");
  EXPECT_NE(peer.got.find("\r\nConnection: close\r\n"), std::string::npos);
}

// The head of such a response was sent before the drain, so it has no Connection: close.
TEST_P(HttpServerTest, ADrainEndsAConnectionWhoseResponseHadBegun) {
  for (const Duration spread : {Duration::zero(), Duration(milliseconds(20))}) {
    Options options;
    options.drain_spread = spread;
    Responder responder;
    serve([&](const Request&, Response& response) { responder = response.defer(); },
          std::move(options));
    Peer peer = client(get_request());
    ASSERT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
    responder.begin(Response(), 4);
    ASSERT_TRUE(until(peer, "\r\n\r\n"));
    bool done = false;
    server->drain([&] { done = true; });
    settle(peer);
    responder.write("late");
    responder.finish();
    ASSERT_TRUE(until_over(peer)) << "it waited for another request";
    EXPECT_EQ(content_of(peer.got), "late");
    EXPECT_TRUE(pump(loop, [&] { return done; }));
  }
}

TEST_P(HttpServerTest, WithoutASpreadIdleConnectionsEndAtOnce) {
  Options options;
  options.drain_spread = Duration::zero();
  serve_ok(std::move(options));
  Peer peer = client(get_request());
  ASSERT_TRUE(until(peer, "OK\n"));
  server->drain();
  EXPECT_TRUE(until_over(peer));
}

INSTANTIATE_TEST_SUITE_P(Backends, HttpServerTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
