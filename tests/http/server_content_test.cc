// SPDX-License-Identifier: MIT
// Requests with content: collected, streamed, discarded and refused content, 100 (Continue), and
// deadlines.
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/http_kit.h"
#include "tests/support/log_capture.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;

std::string post(std::string_view body, std::string_view fields = "") {
  return "POST / HTTP/1.1\r\nHost: a\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

class ContentTest : public HttpTest {
 protected:
  static Options choosing(Content how) {
    Options options;
    options.on_head = [how](const Request&, Response&) { return how; };
    return options;
  }
  // Answers with the length of the body, and keeps the body.
  void serve_length(Options options = {}) {
    serve(
        [this](const Request& request, Response& response) {
          bodies.emplace_back(request.body);
          response.body(std::to_string(request.body.size()));
        },
        std::move(options));
  }
  // Streams the body into `bodies`, and answers when it is complete.
  void serve_stream() {
    serve(
        [this](const Request& request, Response& response) {
          EXPECT_TRUE(request.body.empty());
          responder = response.defer();
          bodies.emplace_back();
          responder.on_body([this](std::string_view part, bool last) {
            bodies.back() += part;
            ++parts;
            if (last) responder.send(Response().body(std::to_string(bodies.back().size())));
          });
        },
        choosing(Content::stream));
  }

  std::vector<std::string> bodies;
  Responder responder;
  int parts = 0;
};

TEST_P(ContentTest, IsCollectedHoweverItComes) {
  serve_length();
  const std::string body = pattern(100000);
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: dropped\r\n\r\n";
  for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{1000000}}) {
    bodies.clear();
    Peer peer = client();
    const std::string all = post("abc") + chunked + post(step == 1 ? "x" : body) + get_request();
    for (std::size_t at = 0; at < all.size();) {
      at += peer.write(std::string_view(all).substr(at, step));
      static_cast<void>(loop.poll());
    }
    ASSERT_TRUE(run_bounded(loop, [&] { return bodies.size() == 4; })) << step;
    EXPECT_EQ(bodies[0], "abc");
    EXPECT_EQ(bodies[1], "hello world");
    EXPECT_TRUE(bodies[2] == (step == 1 ? "x" : body));
    EXPECT_EQ(bodies[3], "");
  }
}

TEST_P(ContentTest, BeyondTheLimitsIsA413) {
  Options options;
  options.limits.body = 1000;
  options.collected_body = 100;
  serve_length(std::move(options));
  for (const std::string& request :
       {post(std::string(101, 'x')), post(std::string(1001, 'x')),
        std::string("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n") +
            std::string(64, 'x') + "\r\n40\r\n" + std::string(64, 'x') + "\r\n0\r\n\r\n"}) {
    Peer peer = client(request);
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(peer.got.rfind("HTTP/1.1 413 ", 0), 0U) << peer.got;
    EXPECT_EQ(peer.error, 0);
  }
  EXPECT_TRUE(bodies.empty());
  Peer peer = client(post(std::string(100, 'x')));
  EXPECT_TRUE(until(peer, "\r\n\r\n100"));
}

TEST_P(ContentTest, OfExactlyTheLimitIsTakenHoweverItComes) {
  Options options;
  options.collected_body = 100;
  serve_length(std::move(options));
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string piece = "32\r\n" + std::string(50, 'x') + "\r\n";
  Peer chunked = client(head + piece + piece + "0\r\n\r\n");
  EXPECT_TRUE(until(chunked, "\r\n\r\n100")) << chunked.got;
  Peer counted = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
  for (int i = 0; i < 100; ++i) {
    run_for(loop, milliseconds(1));
    counted.write("x");
  }
  EXPECT_TRUE(until(counted, "\r\n\r\n100")) << counted.got;
  Peer above = client(head + piece + piece + "1\r\nx\r\n0\r\n\r\n");
  ASSERT_TRUE(until_over(above));
  EXPECT_EQ(above.got.rfind("HTTP/1.1 413 ", 0), 0U) << above.got;
}

TEST_P(ContentTest, IsStreamedAsItComes) {
  serve_stream();
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
  ASSERT_TRUE(run_bounded(loop, [&] { return parts == 1; }));
  EXPECT_EQ(bodies.at(0), "abc");
  peer.write("def" + get_request());
  ASSERT_TRUE(until(peer, "\r\n\r\n6"));
  EXPECT_EQ(bodies.at(0), "abcdef");
  EXPECT_TRUE(run_bounded(loop, [&] { return bodies.size() == 2; })) << "the connection goes on";
}

TEST_P(ContentTest, ChunksAreStreamedToo) {
  serve_stream();
  Peer peer = client(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" +
      post("next"));
  ASSERT_TRUE(until(peer, "\r\n\r\n4"));
  EXPECT_EQ(bodies, (std::vector<std::string>{"abcdef", "next"}));
}

TEST_P(ContentTest, MayBeLargerThanMemoryWhenStreamed) {
  Options options = choosing(Content::stream);
  options.limits.body = std::uint64_t{1} << 40;
  std::uint64_t seen = 0;
  serve(
      [&](const Request&, Response& response) {
        responder = response.defer();
        responder.on_body([&](std::string_view part, bool) { seen += part.size(); });
      },
      std::move(options));
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
  const std::string block(1 << 20, 'x');
  std::uint64_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    sent += peer.write(block);
    static_cast<void>(loop.poll());
  }
  EXPECT_TRUE(run_bounded(loop, [&] { return seen == sent; }));
  EXPECT_GT(seen, std::uint64_t{4} << 20);
}

TEST_P(ContentTest, APauseHoldsTheClientBack) {
  serve_stream();
  std::string body = pattern(1000000);
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx");
  ASSERT_TRUE(run_bounded(loop, [&] { return parts > 0; }));
  responder.pause_body();
  std::size_t sent = peer.write(std::string_view(body).substr(1));
  run_for(loop, milliseconds(20));
  const int before = parts;
  run_for(loop, milliseconds(20));
  EXPECT_EQ(parts, before);
  EXPECT_LE(bodies.at(0).size(), 1U + 65536U);
  responder.resume_body();
  EXPECT_TRUE(pump(loop, [&] {
    sent += peer.write(std::string_view(body).substr(1 + sent));
    peer.read();
    return !peer.got.empty();
  }));
  body[0] = 'x';
  EXPECT_TRUE(bodies.at(0) == body);
}

TEST_P(ContentTest, APauseBetweenChunksLosesNothing) {
  serve(
      [this](const Request&, Response& response) {
        responder = response.defer();
        bodies.emplace_back();
        responder.on_body([this](std::string_view part, bool last) {
          bodies.back() += part;
          responder.pause_body();
          if (last) responder.send(Response().body("done"));
        });
      },
      choosing(Content::stream));
  Peer peer = client(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
  ASSERT_TRUE(run_bounded(loop, [&] { return !bodies.empty() && bodies[0] == "a"; }));
  run_for(loop, milliseconds(10));
  EXPECT_EQ(bodies[0], "a");
  for (const char* expected : {"ab", "abc"}) {
    responder.resume_body();
    ASSERT_TRUE(run_bounded(loop, [&] { return bodies[0] == expected; }));
  }
  responder.resume_body();
  EXPECT_TRUE(until(peer, "done"));
}

TEST_P(ContentTest, AResponseBeforeTheEndOfTheContentEndsTheConnection) {
  serve_stream();
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  ASSERT_TRUE(run_bounded(loop, [&] { return parts == 1; }));
  responder.send(Response().status(403).body("no"));
  ASSERT_TRUE(until(peer, "no"));
  EXPECT_NE(peer.got.find("Connection: close\r\n"), std::string::npos);
  peer.write(std::string(997, 'x'));
  EXPECT_TRUE(until_over(peer));
  EXPECT_EQ(peer.error, 0) << "the response must not be lost to a reset";
}

TEST_P(ContentTest, AStreamHandlerMayAnswerAtOnce) {
  serve([](const Request&, Response& response) { response.status(403).body("no"); },
        choosing(Content::stream));
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(content_of(peer.got), "no");
  EXPECT_NE(peer.got.find("Connection: close\r\n"), std::string::npos);
}

TEST_P(ContentTest, IsDiscardedWithoutBeingKept) {
  serve_length(choosing(Content::discard));
  Peer peer = client(post(pattern(50000)) + get_request());
  ASSERT_TRUE(run_bounded(loop, [&] { return bodies.size() == 2; }));
  EXPECT_EQ(bodies[0], "");
}

TEST_P(ContentTest, IsRefusedBeforeItComes) {
  Options options;
  options.on_head = [](const Request& request, Response& response) {
    if (request.content_length < 100) return Content::collect;
    response.status(401).body("who are you?");
    return Content::refuse;
  };
  serve_length(std::move(options));
  Peer peer =
      client("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n");
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 401 ", 0), 0U) << peer.got;
  EXPECT_EQ(count(peer.got, "100 Continue"), 0U);
  EXPECT_NE(peer.got.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(bodies.empty());
}

TEST_P(ContentTest, AnOnHeadThatThrowsIsA500) {
  const LogCapture log;
  Options options;
  options.on_head = [](const Request&, Response&) -> Content { throw std::runtime_error("oops"); };
  serve_length(std::move(options));
  Peer peer = client(post("abc"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 500 ", 0), 0U) << peer.got;
}

TEST_P(ContentTest, AnOnHeadThatThrowsNoStdExceptionIsA500Too) {
  const LogCapture log;
  Options options;
  options.on_head = [](const Request&, Response&) -> Content { throw 1; };
  serve_length(std::move(options));
  Peer peer = client(post("abc"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 500 ", 0), 0U) << peer.got;
}

TEST_P(ContentTest, AnOnHeadThatDestroysTheServerIsItsLastCall) {
  Options options;
  options.on_head = [this](const Request&, Response&) {
    server.reset();
    return Content::collect;
  };
  serve_length(std::move(options));
  Peer peer = client(post("abc"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_TRUE(bodies.empty()) << "the handler was called";
  EXPECT_EQ(peer.got, "");
}

TEST_P(ContentTest, ContinueIsSentToWhoWaitsForIt) {
  serve_length();
  const std::string head =
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  Peer waiting = client(head);
  ASSERT_TRUE(until(waiting, "HTTP/1.1 100 Continue\r\n\r\n"));
  waiting.write("abc");
  ASSERT_TRUE(until(waiting, "\r\n\r\n3"));
  EXPECT_EQ(count(waiting.got, "100 Continue"), 1U);
  Peer hasty = client(head + "abc");  // RFC 9110 section 10.1.1: no 100 is needed then
  ASSERT_TRUE(until(hasty, "\r\n\r\n3"));
  EXPECT_EQ(count(hasty.got, "100 Continue"), 0U);
}

TEST_P(ContentTest, ContinueIsSentWhenAStreamIsWanted) {
  serve([this](const Request&, Response& response) { responder = response.defer(); },
        choosing(Content::stream));
  Peer peer =
      client("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
  settle(peer);
  EXPECT_EQ(peer.got, "");
  std::string body;
  responder.on_body([&](std::string_view part, bool last) {
    body += part;
    if (last) responder.send(Response().body("got " + body));
  });
  ASSERT_TRUE(until(peer, "100 Continue"));
  peer.write("abc");
  EXPECT_TRUE(until(peer, "got abc"));
}

TEST_P(ContentTest, ContinueIsNotSentBehindAResponse) {
  serve([this](const Request&, Response& response) { responder = response.defer(); },
        choosing(Content::stream));
  Peer peer =
      client("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  ASSERT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
  responder.begin(Response(), 4);
  responder.on_body([](std::string_view, bool) {});
  responder.write("done");
  responder.finish();
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(content_of(peer.got), "done") << peer.got;
  EXPECT_EQ(count(peer.got, "HTTP/1.1 "), 1U) << peer.got;
}

TEST_P(ContentTest, ASlowBodyIsA408) {
  Options options;
  options.body_timeout = milliseconds(50);
  options.body_rate = 0;
  serve_length(std::move(options));
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  const TimePoint begin = monotonic_now();
  ASSERT_TRUE(pump(loop, [&] {
    peer.write("x");  // a trickle does not extend the time
    run_for(loop, milliseconds(5));
    return peer.read(), peer.over() || peer.got.find("\r\n\r\n") != std::string::npos;
  }));
  EXPECT_GE(monotonic_now() - begin, milliseconds(40));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 408 ", 0), 0U) << peer.got;
}

TEST_P(ContentTest, ABodyThatKeepsTheRateMayTakeLonger) {
  Options options;
  options.body_timeout = milliseconds(40);
  options.body_rate = 1;  // each byte adds a second
  serve_length(std::move(options));
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  run_for(loop, milliseconds(100));
  peer.write("cd");
  ASSERT_TRUE(until(peer, "\r\n\r\n4"));
}

TEST_P(ContentTest, APauseStopsTheClockOfTheBody) {
  Options options = choosing(Content::stream);
  options.body_timeout = milliseconds(200);
  options.body_rate = 0;
  serve(
      [this](const Request&, Response& response) {
        responder = response.defer();
        responder.on_body([this](std::string_view, bool last) {
          if (last) responder.send(Response().body("done"));
        });
        responder.pause_body();
      },
      std::move(options));
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  run_for(loop, milliseconds(300));
  responder.resume_body();
  EXPECT_TRUE(loop.poll() && loop.poll());  // the time of the pause does not count
  peer.write("cd");
  EXPECT_TRUE(until(peer, "done"));
}

TEST_P(ContentTest, AMalformedChunkEndsAStreamWithA400) {
  int closed = 0;
  serve(
      [&](const Request&, Response& response) {
        responder = response.defer();
        responder.on_body([](std::string_view, bool last) { EXPECT_FALSE(last); });
        responder.on_close([&] { ++closed; });
      },
      choosing(Content::stream));
  Peer peer =
      client("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.got.rfind("HTTP/1.1 400 ", 0), 0U) << peer.got;
  EXPECT_TRUE(run_bounded(loop, [&] { return closed == 1; }));
  EXPECT_FALSE(responder);
}

TEST_P(ContentTest, AClientThatEndsAmidItsContentIsGone) {
  serve_stream();
  int closed = 0;
  Peer peer = client("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  ASSERT_TRUE(run_bounded(loop, [&] { return parts == 1; }));
  responder.on_close([&] { ++closed; });
  ::shutdown(peer.fd.get(), SHUT_WR);
  EXPECT_TRUE(run_bounded(loop, [&] { return closed == 1; }));
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
}

INSTANTIATE_TEST_SUITE_P(Backends, ContentTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
