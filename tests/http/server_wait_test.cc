// SPDX-License-Identifier: MIT
// Input that has to wait, for a client that does not read or for a body that is paused. It is taken
// up as soon as the wait ends, whoever ends it.
#include <string>
#include <utility>

#include "tests/support/http_kit.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;

const std::string kChunkedPost = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

class WaitTest : public HttpTest {
 protected:
  static Options streaming() {
    Options options;
    options.on_head = [](const Request&, Response&) { return Content::stream; };
    return options;
  }
  // Begins a response, and writes until the client would have to read.
  void begin_large() {
    responder.begin(Response());
    const std::string piece(100000, 'x');
    for (int i = 0; i < 1000 && responder.writable(); ++i) responder.write(piece);
    EXPECT_FALSE(responder.writable());
  }
  // Collects the content in `body`, and ends the response after it.
  void collect() {
    responder.on_body([this](std::string_view part, bool last) {
      body += part;
      if (last) responder.finish();
    });
  }

  Responder responder;
  std::string body;
};

TEST_P(WaitTest, AResponseThatEndsWhenTheQueueDrainsIsFollowedByTheNextRequest) {
  serve([this](const Request& request, Response& response) {
    if (request.target == "/next") {
      response.body("next");
      return;
    }
    responder = response.defer();
    responder.on_drain([this] { responder.finish(); });
    begin_large();
  });
  Peer peer = client(get_request("/large") + get_request("/next"));
  EXPECT_TRUE(until(peer, "\r\n\r\nnext"));
}

// The usual back-pressure of a handler that sends back what it gets.
TEST_P(WaitTest, ABodyThatGoesOnWhenTheQueueDrainsIsWhole) {
  serve(
      [this](const Request&, Response& response) {
        responder = response.defer();
        responder.on_drain([this] { responder.resume_body(); });
        responder.on_body([this](std::string_view part, bool last) {
          if (body.empty()) {
            begin_large();
            responder.pause_body();
          }
          body += part;
          if (last) responder.finish();
        });
      },
      streaming());
  Peer peer = client(kChunkedPost + "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
  EXPECT_TRUE(until(peer, "\r\n0\r\n\r\n"));
  EXPECT_EQ(body, "ab");
}

TEST_P(WaitTest, ABodyBehindALargeEarlyResponseIsReadWhenTheQueueDrains) {
  int drains = 0;
  serve(
      [&](const Request&, Response& response) {
        responder = response.defer();
        responder.on_drain([&] { ++drains; });
        collect();
        begin_large();
      },
      streaming());
  Peer peer = client(kChunkedPost + "3\r\nabc\r\n0\r\n\r\n");
  EXPECT_TRUE(until(peer, "\r\n0\r\n\r\n"));
  EXPECT_EQ(body, "abc");
  EXPECT_GT(drains, 0);
}

// A timer or another connection may pause and resume a body too.
TEST_P(WaitTest, APauseFromOutsideStopsTheClockOfTheBody) {
  Options options = streaming();
  options.body_timeout = milliseconds(300);
  options.body_rate = 0;
  serve(
      [this](const Request&, Response& response) {
        responder = response.defer();
        responder.begin(Response());
        collect();
      },
      std::move(options));
  Peer peer = client(kChunkedPost + "2\r\nab\r\n");
  ASSERT_TRUE(run_bounded(loop, [&] { return !body.empty(); }));
  responder.pause_body();
  run_for(loop, milliseconds(400));
  EXPECT_FALSE((peer.read(), peer.over()));
  responder.resume_body();
  peer.write("2\r\ncd\r\n0\r\n\r\n");
  EXPECT_TRUE(until(peer, "\r\n0\r\n\r\n"));
  EXPECT_EQ(body, "abcd");
}

INSTANTIATE_TEST_SUITE_P(Backends, WaitTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
