// SPDX-License-Identifier: MIT
// Clients that leave before their response is complete.
#include <optional>
#include <vector>

#include "tests/support/http_kit.h"
#include "tests/support/log_capture.h"

namespace reactor::http {
namespace {

class ServerEndTest : public HttpTest {
 protected:
  // Sends a request, which the test answers through `responder`.
  Peer ask() {
    if (server == nullptr) {
      serve([this](const Request&, Response& response) { responder = response.defer(); });
    }
    responder = {};
    Peer peer = client(get_request());
    EXPECT_TRUE(run_bounded(loop, [&] { return static_cast<bool>(responder); }));
    return peer;
  }
  static void leave(Peer& peer) {
    reset_on_close(peer.fd.get());
    peer.fd.reset();
  }

  Responder responder;
};

TEST_P(ServerEndTest, AClientThatGoesAmidAResponseIsToldToItsResponder) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  for (const std::optional<std::uint64_t> length : {std::optional<std::uint64_t>(10), {}}) {
    Peer peer = ask();
    int closed = 0;
    bool dead = false;
    responder.on_close([&] {
      ++closed;
      dead = !responder;
    });
    Response response;
    responder.begin(response, length);
    responder.write("half");
    ASSERT_TRUE(until(peer, "half"));
    EXPECT_EQ(closed, 0);
    leave(peer);
    ASSERT_TRUE(run_bounded(loop, [&] { return closed > 0; }));
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(closed, 1);
    EXPECT_TRUE(dead);
    responder.write("nobody");
    responder.finish();
  }
}

TEST_P(ServerEndTest, AClientThatGoesAfterItsResponseIsToldNobody) {
  Peer peer = ask();
  int closed = 0;
  responder.on_close([&] { ++closed; });
  Response response;
  responder.begin(response);
  responder.write("whole");
  responder.finish();
  ASSERT_TRUE(until(peer, "0\r\n\r\n"));
  const std::size_t before = loop.counts().transports;
  leave(peer);
  ASSERT_TRUE(run_bounded(loop, [&] { return loop.counts().transports < before; }));
  EXPECT_EQ(closed, 0);
}

TEST_P(ServerEndTest, AnExceptionOfOnCloseIsLoggedAndTheServerGoesOn) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  const LogCapture log;
  Peer peer = ask();
  responder.on_close([] { throw Raised{}; });
  Response response;
  responder.begin(response);
  responder.write("half");
  ASSERT_TRUE(until(peer, "half"));
  leave(peer);
  ASSERT_TRUE(run_bounded(loop, [&] { return log.contains("on_close"); }));
  Peer next = ask();
  responder.send(response.body("next"));
  EXPECT_TRUE(until(next, "next"));
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerEndTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
