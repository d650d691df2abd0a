// SPDX-License-Identifier: MIT
// Responses that come after the handler has returned, or in pieces.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reactor/http/event_stream.h"
#include "tests/support/http_kit.h"
#include "tests/support/log_capture.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;

class DeferTest : public HttpTest {
 protected:
  // Defers every request and records its target.
  void serve_later(Options options = {}) {
    serve(
        [this](const Request& request, Response& response) {
          targets.emplace_back(request.target);
          responders.push_back(response.defer());
        },
        std::move(options));
  }
  bool until_asked(std::size_t times) {
    return run_bounded(loop, [&] { return targets.size() >= times; });
  }
  static Response text(std::string_view content) {
    Response response;
    response.body(content);
    return response;
  }

  std::vector<std::string> targets;
  std::vector<Responder> responders;
};

TEST_P(DeferTest, AResponseMayComeLater) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  settle(peer);
  EXPECT_EQ(peer.got, "");
  EXPECT_TRUE(responders[0]);
  responders[0].send(text("later"));
  EXPECT_FALSE(responders[0]);
  ASSERT_TRUE(until(peer, "later"));
  EXPECT_EQ(content_of(peer.got), "later");
  peer.got.clear();
  peer.write(get_request("/again"));  // the connection can still be used
  ASSERT_TRUE(until_asked(2));
  responders[1].send(text("again"));
  EXPECT_TRUE(until(peer, "again"));
}

TEST_P(DeferTest, ResponsesKeepTheOrderOfTheRequests) {
  serve_later();
  Peer peer = client(get_request("/1") + get_request("/2") + get_request("/3"));
  ASSERT_TRUE(until_asked(1));
  settle(peer);
  EXPECT_EQ(targets.size(), 1U) << "the second waits for the first's answer";
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(until_asked(i + 1));
    responders[i].send(text("<" + targets[i] + ">"));
  }
  ASSERT_TRUE(until(peer, "</3>"));
  EXPECT_LT(peer.got.find("</1>"), peer.got.find("</2>"));
  EXPECT_LT(peer.got.find("</2>"), peer.got.find("</3>"));
}

TEST_P(DeferTest, AResponseWithinTheHandlerIsLikeAnyOther) {
  int calls = 0;
  serve([&](const Request&, Response& response) {
    Responder responder = response.defer();
    responder.send(text("n" + std::to_string(++calls) + ";"));
  });
  std::string many;
  for (int i = 0; i < 500; ++i) many += get_request();
  Peer peer = client(many);
  ASSERT_TRUE(until(peer, "n500;"));
  EXPECT_EQ(count(peer.got, "HTTP/1.1 200"), 500U);
}

// The client already sends its next requests while the server closes the connection.
TEST_P(DeferTest, TheLastResponseIsNotLostToAReset) {
  const LogCapture log;
  for (const bool dropped : {false, true}) {
    targets.clear();
    responders.clear();
    serve_later();
    Peer peer = client(get_request());
    ASSERT_TRUE(until_asked(1));
    if (!dropped) responders[0].send(text("the last").close());
    responders.clear();
    ASSERT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
    for (int i = 0; i < 3; ++i) {
      EXPECT_NE(peer.write(get_request()), 0U) << "reset";
      run_for(loop, milliseconds(1));
    }
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(peer.error, 0);
    EXPECT_EQ(content_of(peer.got), dropped ? "Internal Server Error" : "the last");
    EXPECT_EQ(targets.size(), 1U);
  }
}

TEST_P(DeferTest, ADroppedResponderIsA500) {
  const LogCapture log;
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  responders.clear();
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 500 ", 0), 0U) << peer.got;
  EXPECT_TRUE(log.contains("Responder"));
}

TEST_P(DeferTest, AHandlerThatThrowsAfterDeferringIsA500) {
  const LogCapture log;
  serve([&](const Request&, Response& response) {
    responders.push_back(response.defer());
    throw std::runtime_error("oops");
  });
  Peer peer = client(get_request());
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 500 ", 0), 0U) << peer.got;
  EXPECT_FALSE(responders.at(0));
}

TEST_P(DeferTest, TheEndOfTheClientIsToldAndKillsTheResponder) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  int closed = 0;
  responders[0].on_close([&] { ++closed; });
  reset_on_close(peer.fd.get());
  peer.fd.reset();
  ASSERT_TRUE(run_bounded(loop, [&] { return closed > 0; }));
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(responders[0]);
  responders[0].send(text("nobody"));  // does nothing
}

TEST_P(DeferTest, AResponderMayOutliveItsServer) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  server.reset();
  EXPECT_FALSE(responders[0]);
  responders[0].send(text("nobody"));
}

TEST_P(DeferTest, AClientThatHalfClosedGetsItsResponse) {
  serve_later();
  Peer peer = client(get_request("/1") + get_request("/2"));
  ::shutdown(peer.fd.get(), SHUT_WR);
  ASSERT_TRUE(until_asked(1));
  settle(peer);
  responders[0].send(text("<1>"));
  ASSERT_TRUE(until_asked(2));
  responders[1].send(text("<2>"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_NE(peer.got.find("<2>"), std::string::npos);
  EXPECT_EQ(peer.error, 0);
}

// The server sees the half-close after it has sent the response, and before it takes up the next
// request.
TEST_P(DeferTest, AHalfCloseBesideAResponseLosesNoRequest) {
  serve_later();
  Peer peer = client(get_request("/1") + get_request("/2"));
  ASSERT_TRUE(until_asked(1));
  ::shutdown(peer.fd.get(), SHUT_WR);
  responders[0].send(text("<1>"));
  ASSERT_TRUE(until_asked(2));
  responders[1].send(text("<2>"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_NE(peer.got.find("<2>"), std::string::npos);
}

TEST_P(DeferTest, WhatIsReadAheadOfAResponseIsBounded) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  const std::string flood(1 << 20, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    sent += peer.write(flood);
    static_cast<void>(loop.poll());
  }
  settle(peer);
  const std::size_t before = sent;
  sent += peer.write(flood);
  EXPECT_EQ(sent, before) << "the kernel's buffers are full and nobody reads";
  EXPECT_LT(sent, std::size_t{16} << 20);
}

TEST_P(DeferTest, NoTimeOutRunsWhileAHandlerThinks) {
  Options options;
  options.header_timeout = options.body_timeout = options.keep_alive = milliseconds(20);
  serve_later(std::move(options));
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  run_for(loop, milliseconds(60));
  responders[0].send(text("late"));
  EXPECT_TRUE(until(peer, "late"));
  EXPECT_TRUE(until_over(peer)) << "and then keep-alive is over soon";
}

TEST_P(DeferTest, PiecesAreChunked) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  Response head;
  responders[0].begin(head.content_type("text/x"));
  ASSERT_TRUE(until(peer, "\r\n\r\n"));
  EXPECT_NE(peer.got.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(peer.got.find("Content-Length"), std::string::npos);
  peer.got.clear();
  responders[0].write("hello");
  responders[0].write("");  // does not end the response
  responders[0].write(std::string(26, 'z'));
  responders[0].finish();
  const std::string expected = "5\r\nhello\r\n1a\r\n" + std::string(26, 'z') + "\r\n0\r\n\r\n";
  ASSERT_TRUE(until(peer, expected));
  EXPECT_EQ(peer.got, expected);
  peer.write(get_request());
  EXPECT_TRUE(until_asked(2)) << "the connection goes on";
}

TEST_P(DeferTest, ALargePieceIsWhole) {
  serve_later();
  Peer peer = client("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response());
  const std::string content = pattern(1000000);
  responders[0].write(content);
  responders[0].finish();
  ASSERT_TRUE(until_over(peer));
  const std::string decoded = dechunk(peer.got.substr(peer.got.find("\r\n\r\n") + 4));
  EXPECT_TRUE(decoded == content) << decoded.size();
}

TEST_P(DeferTest, ALengthIsAnnouncedAndKept) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response(), 10);
  responders[0].write("01234");
  responders[0].write("56789");
  responders[0].finish();
  ASSERT_TRUE(until(peer, "0123456789"));
  EXPECT_EQ(content_of(peer.got), "0123456789");
  peer.write(get_request());
  EXPECT_TRUE(until_asked(2));
}

TEST_P(DeferTest, TooLittleOfALengthIsAReset) {
  const LogCapture log;
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response(), 10);
  responders[0].write("01234");
  responders[0].finish();
  ASSERT_TRUE(until_over(peer));
  EXPECT_TRUE(log.contains("less content"));
}

TEST_P(DeferTest, TooMuchOfALengthIsCutOff) {
  const LogCapture log;
  serve_later();
  Peer peer = client(get_request() + get_request("/2"));
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response(), 5);
  responders[0].write("0123456789");
  responders[0].finish();
  ASSERT_TRUE(until(peer, "01234"));
  ASSERT_TRUE(until_asked(2));
  settle(peer);
  EXPECT_EQ(content_of(peer.got), "01234");
}

TEST_P(DeferTest, PiecesEndWithTheConnectionForAClientOf10) {
  serve_later();
  Peer peer = client("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response());
  responders[0].write("hello");
  responders[0].finish();
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.find("Transfer-Encoding"), std::string::npos);
  EXPECT_NE(peer.got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(peer.got.substr(peer.got.find("\r\n\r\n") + 4), "hello");
}

TEST_P(DeferTest, HeadAnd204HaveNoPieces) {
  serve_later();
  Peer peer = client("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get_request("/none"));
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response());
  responders[0].write("hello");
  responders[0].finish();
  ASSERT_TRUE(until_asked(2));
  Response none;
  responders[1].begin(none.status(204));
  responders[1].write("hello");
  responders[1].finish();
  ASSERT_TRUE(until(peer, "204"));
  settle(peer);
  EXPECT_EQ(count(peer.got, "hello"), 0U);
  EXPECT_EQ(count(peer.got, "HTTP/1.1 "), 2U);
  EXPECT_EQ(count(peer.got, "Transfer-Encoding: chunked"), 1U) << "HEAD tells what GET would have";
}

TEST_P(DeferTest, AResponderThatIsDroppedAmidItsResponseIsAReset) {
  serve_later();
  Peer peer = client("GET / HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(until_asked(1));
  responders[0].begin(Response());
  responders[0].write("half");
  ASSERT_TRUE(until(peer, "half"));
  responders.clear();
  ASSERT_TRUE(until_over(peer));
}

// If the client does not read, the handler has to wait, and no byte is lost.
TEST_P(DeferTest, WritingFollowsTheClientsReading) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  Responder& responder = responders[0];
  responder.begin(Response());
  const std::string piece = pattern(10000);
  int pieces = 0, drains = 0;
  constexpr int kPieces = 2000;
  const auto produce = [&] {
    for (; pieces < kPieces && responder.writable(); ++pieces) responder.write(piece);
    if (pieces == kPieces && responder) responder.finish();
  };
  responder.on_drain([&] {
    ++drains;
    produce();
  });
  produce();
  ASSERT_LT(pieces, kPieces);
  const int before = pieces;
  run_for(loop, milliseconds(20));
  EXPECT_EQ(pieces, before) << "nothing was read, nothing is produced";
  ASSERT_TRUE(until(peer, "\r\n0\r\n\r\n"));
  EXPECT_EQ(count(peer.got, piece), std::size_t{kPieces});
  EXPECT_GT(drains, 1);
}

TEST_P(DeferTest, ACallbackThatThrowsEndsTheConnection) {
  const LogCapture log;
  serve(
      [&](const Request&, Response& response) {
        responders.push_back(response.defer());
        responders.back().on_body([](std::string_view, bool) { throw std::runtime_error("oops"); });
      },
      [] {
        Options options;
        options.on_head = [](const Request&, Response&) { return Content::stream; };
        return options;
      }());
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(until_over(peer));
  EXPECT_TRUE(log.contains("oops"));
  EXPECT_FALSE(responders.at(0));
}

TEST_P(DeferTest, DrainWaitsForDeferredResponses) {
  serve_later();
  Peer peer = client(get_request());
  ASSERT_TRUE(until_asked(1));
  bool done = false;
  server->drain([&] { done = true; });
  settle(peer);
  EXPECT_FALSE(done);
  responders[0].send(text("last"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(content_of(peer.got), "last");
  EXPECT_NE(peer.got.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(pump(loop, [&] { return done; }));
}

TEST_P(DeferTest, EventsAreWrittenAsTheStandardSays) {
  std::unique_ptr<EventStream> events;
  serve([&](const Request&, Response& response) {
    events = std::make_unique<EventStream>(response.defer());
  });
  Peer peer = client(get_request());
  ASSERT_TRUE(until(peer, "\r\n\r\n"));
  EXPECT_NE(peer.got.find("Content-Type: text/event-stream\r\n"), std::string::npos);
  peer.got.clear();
  EXPECT_TRUE(events->send("one\ntwo\r\nthree\rfour", "kind", "7"));
  EXPECT_FALSE(events->send("x", "two\nlines"));
  EXPECT_FALSE(events->send("x", "", std::string_view("a\0b", 3)));
  events->comment("still here");
  events->retry(milliseconds(1500));
  EXPECT_TRUE(events->send(""));
  events.reset();
  ASSERT_TRUE(until(peer, "0\r\n\r\n"));
  EXPECT_EQ(dechunk(peer.got),
            "event: kind\nid: 7\ndata: one\ndata: two\ndata: three\ndata: four\n\n"
            ": still here\n\nretry: 1500\n\ndata: \n\n");
}

INSTANTIATE_TEST_SUITE_P(Backends, DeferTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
