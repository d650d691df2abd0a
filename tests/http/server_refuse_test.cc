// SPDX-License-Identifier: MIT
// The last response of a connection. It arrives whatever the client still sends, no bytes after it
// are read as a request, and a refusal gives its reason.
#include <sys/socket.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/http/access_log.h"
#include "tests/support/http_kit.h"
#include "tests/support/log_capture.h"
#include "tests/support/temporary_folder.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;

const std::string kConnect = "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
const std::string kUpgrade = "Connection: upgrade\r\nUpgrade: chat\r\n";
const std::string kPost = "POST / HTTP/1.1\r\nHost: a\r\n";

class RefuseTest : public HttpTest {
 protected:
  // Records targets, and answers with `status`, either at once or through `responder`.
  void serve_status(int status, bool later = false, Options options = {}) {
    serve(
        [=, this](const Request& request, Response& response) {
          targets.emplace_back(request.target);
          response.status(status).body("no");
          if (later) responder = response.defer();
        },
        std::move(options));
  }
  bool until_asked() {
    return run_bounded(loop, [&] { return !targets.empty(); });
  }
  // Sends all of `body` without reading anything meanwhile.
  bool send_all(Peer& peer, std::string_view body) {
    return pump(loop, [&] {
      body.remove_prefix(peer.write(body.substr(0, 1'000'000)));
      return body.empty() || peer.error != 0;
    });
  }

  std::vector<std::string> targets;
  Responder responder;
};

// ---- Bytes after a refused CONNECT or upgrade (RFC 9931) ----

TEST_P(RefuseTest, NothingBehindAConnectIsARequest) {
  for (const int status : {405, 200}) {  // 200 would open a tunnel, so it becomes a 501
    targets.clear();
    serve_status(status);
    Peer peer = client(kConnect + get_request("/smuggled"));
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(targets, std::vector<std::string>{"a:80"});
    EXPECT_EQ(count(peer.got, "HTTP/1.1 "), 1U) << peer.got;
    EXPECT_EQ(count(peer.got, "\r\nConnection: close\r\n"), 1U) << peer.got;
    EXPECT_EQ(peer.error, 0);
  }
}

TEST_P(RefuseTest, NothingThatComesAfterTheResponseToAConnectIsARequest) {
  serve_status(405);
  Peer peer = client(kConnect);
  ASSERT_TRUE(until(peer, "no"));
  ASSERT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(peer.write(get_request("/smuggled")), 0U) << "reset";
    run_for(loop, milliseconds(1));
  }
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(peer.error, 0);
  EXPECT_EQ(targets.size(), 1U);
}

TEST_P(RefuseTest, NothingBehindAConnectThatIsRefusedLaterIsARequest) {
  for (const bool early : {true, false}) {
    targets.clear();
    serve_status(405, true);
    Peer peer = client(early ? kConnect + get_request("/smuggled") : kConnect);
    ASSERT_TRUE(until_asked());
    if (!early) peer.write(get_request("/smuggled"));
    run_for(loop, milliseconds(5));
    responder.send(Response().status(405).body("no"));
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(targets.size(), 1U);
    EXPECT_EQ(count(peer.got, "\r\nConnection: close\r\n"), 1U) << peer.got;
    EXPECT_EQ(peer.error, 0);
  }
}

TEST_P(RefuseTest, NothingBehindAnUpgradeThatBytesFollowIsARequest) {
  serve_status(200);
  for (const std::string& request :
       {get_request("/", kUpgrade), kPost + kUpgrade + "Content-Length: 3\r\n\r\nabc"}) {
    targets.clear();
    Peer peer = client(request + get_request("/smuggled"));
    ASSERT_TRUE(until_over(peer));
    EXPECT_EQ(targets.size(), 1U);
    EXPECT_EQ(count(peer.got, "HTTP/1.1 200 "), 1U) << peer.got;
    EXPECT_EQ(count(peer.got, "\r\nConnection: close\r\n"), 1U) << peer.got;
    EXPECT_EQ(peer.error, 0);
  }
}

TEST_P(RefuseTest, NothingBehindAnUpgradeThatIsRefusedLaterIsARequest) {
  for (const bool pieces : {false, true}) {
    for (const bool early : {true, false}) {
      targets.clear();
      serve_status(200, true);
      const std::string request = get_request("/", kUpgrade);
      Peer peer = client(early ? request + get_request("/smuggled") : request);
      ASSERT_TRUE(until_asked());
      if (!early) peer.write(get_request("/smuggled"));
      run_for(loop, milliseconds(5));
      if (pieces) {
        responder.begin(Response());
        responder.finish();
      } else {
        responder.send(Response().body("no"));
      }
      ASSERT_TRUE(until_over(peer));
      EXPECT_EQ(targets.size(), 1U);
      EXPECT_EQ(count(peer.got, "\r\nConnection: close\r\n"), 1U) << peer.got;
      EXPECT_EQ(peer.error, 0);
    }
  }
}

TEST_P(RefuseTest, NothingBehindTheStreamedContentOfAnUpgradeIsARequest) {
  Options options;
  options.on_head = [](const Request&, Response&) { return Content::stream; };
  serve(
      [this](const Request& request, Response& response) {
        targets.emplace_back(request.target);
        responder = response.defer();
        responder.on_body([this](std::string_view, bool last) {
          if (last) responder.send(Response().body("no"));
        });
      },
      std::move(options));
  const std::string request = kPost + kUpgrade + "Content-Length: 3\r\n\r\nabc";
  Peer alone = client(request);
  ASSERT_TRUE(until(alone, "no"));
  EXPECT_EQ(count(alone.got, "\r\nConnection: close\r\n"), 0U) << "content does not follow it";
  targets.clear();
  Peer peer = client(request + get_request("/smuggled"));
  ASSERT_TRUE(until_over(peer));
  EXPECT_EQ(targets.size(), 1U);
  EXPECT_EQ(count(peer.got, "\r\nConnection: close\r\n"), 1U) << peer.got;
}

// A client that also speaks HTTP/2 may offer an upgrade, and go on with HTTP/1.1 if it is ignored.
TEST_P(RefuseTest, AnUpgradeThatNothingFollowsKeepsTheConnection) {
  serve_status(200);
  Peer peer = client(get_request("/1", kUpgrade));
  ASSERT_TRUE(until(peer, "no"));
  EXPECT_EQ(count(peer.got, "\r\nConnection: close\r\n"), 0U) << peer.got;
  peer.write(get_request("/2"));
  EXPECT_TRUE(run_bounded(loop, [&] { return targets.size() == 2; }));
}

// ---- A client that sends everything before it reads ----

struct Early {
  const char* name;
  int status;
  std::string head;  // 8,000,000 bytes follow
};

class EarlyResponseTest : public RefuseTest {};

TEST_P(EarlyResponseTest, ReachesAClientThatSendsEightMegabytesBeforeItReads) {
  const std::string chunked = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string counted = kPost + "Content-Length: 8000000\r\n";
  const Early cases[] = {
      {"wrong head", 400, kPost + "X : y\r\n\r\n"},
      {"wrong chunk", 400, chunked + "zz\r\n"},
      {"too much", 413, counted + "\r\n"},
      {"too large a chunk", 413, chunked + "7a1200\r\n"},
      {"unknown expectation", 417, counted + "Expect: x\r\n\r\n"},
      {"too long a section", 431, kPost + "X: " + std::string(20'000, 'x') + "\r\n\r\n"},
      {"unknown coding", 501, kPost + "Transfer-Encoding: x, chunked\r\n\r\n"},
      {"another version", 505, "POST / HTTP/2.0\r\n\r\n"},
      {"refused by on_head", 401, counted + "X-Refuse: y\r\n\r\n"},
      {"early response", 403, counted + "X-Stream: y\r\n\r\n"},
      {"late response to a stream", 404, counted + "X-Later: y\r\n\r\n"},
  };
  Options options;
  options.on_head = [](const Request& request, Response& response) {
    response.status(401);
    if (request.field("X-Refuse")) return Content::refuse;
    const bool stream = request.field("X-Stream") || request.field("X-Later");
    return stream ? Content::stream : Content::collect;
  };
  options.limits.body = 7'000'000;
  serve(
      [this](const Request& request, Response& response) {
        if (request.field("X-Stream")) {
          response.status(403);
          return;
        }
        responder = response.defer();
        responder.on_body(
            [this](std::string_view, bool) { responder.send(Response().status(404)); });
      },
      std::move(options));
  const std::string body(8'000'000, '\x01');
  for (const auto& [name, status, head] : cases) {
    // The application only answers requests within the body limit, so these cases announce fewer
    // bytes.
    std::string request = head;
    const bool ours = status != 401 && status != 403 && status != 404;
    if (!ours) request.replace(request.find("8000000"), 7, "6999999");
    Peer peer = client(request);
    ASSERT_TRUE(send_all(peer, body)) << name;
    EXPECT_EQ(peer.error, 0) << name;
    ASSERT_TRUE(until_over(peer)) << name;
    EXPECT_EQ(peer.error, 0) << name;
    EXPECT_EQ(peer.got.rfind("HTTP/1.1 " + std::to_string(status) + " ", 0), 0U)
        << name << peer.got;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, EarlyResponseTest, every_backend(), BackendName());

// ---- Reasons ----

class ReasonTest : public RefuseTest {
 protected:
  // Returns the line that the access log has for a client that sends `request`.
  std::string logged(AccessLog::Format format, std::string_view request, Options options = {}) {
    const TemporaryFolder folder;
    auto access = get(AccessLog::open(loop, {.path = folder.file("log"), .format = format}));
    options.access_log = access.get();
    serve_status(200, false, std::move(options));
    Peer peer = client(request);
    name = name_of(peer);
    EXPECT_TRUE(until_over(peer));
    server.reset();
    access->flush();
    std::ifstream file(folder.file("log"));
    std::string line;
    std::getline(file, line);
    return line;
  }

  static std::string name_of(const Peer& peer) {
    sockaddr_storage own{};
    socklen_t size = sizeof(own);
    EXPECT_EQ(::getsockname(peer.fd.get(), reinterpret_cast<sockaddr*>(&own), &size), 0);
    return Address::from(reinterpret_cast<const sockaddr*>(&own), size).to_string();
  }

  std::string name;  // the client's address and port
};

TEST_P(ReasonTest, IsTheLastFieldOfTheAccessLog) {
  const std::string request = "GET / HTTP/1.1\r\nHost : a\r\n\r\n";
  const std::string reason = "blank behind a field name (RFC 9112 5.1); byte 20 is 0x20";
  const std::string common = logged(AccessLog::Format::common, request);
  EXPECT_TRUE(common.ends_with("\"-\" 400 11 \"" + reason + "\"")) << common;
  const std::string combined = logged(AccessLog::Format::combined, request);
  EXPECT_TRUE(combined.ends_with("\"-\" 400 11 \"-\" \"-\" \"" + reason + "\"")) << combined;
  const std::string json = logged(AccessLog::Format::json, request);
  EXPECT_TRUE(json.ends_with(",\"reason\":\"" + reason + "\"}")) << json;
  const std::string well = get_request("/", "Connection: close\r\n");
  EXPECT_TRUE(logged(AccessLog::Format::common, well).ends_with("\"GET / HTTP/1.1\" 200 2"));
  EXPECT_TRUE(logged(AccessLog::Format::combined, well).ends_with("\" 200 2 \"-\" \"-\""));
  EXPECT_TRUE(logged(AccessLog::Format::json, well).ends_with(",\"reason\":null}"));
}

TEST_P(ReasonTest, IsLoggedWithThePeerAtLevelDebug) {
  const LogCapture log(LogLevel::debug);
  const struct {
    std::string request;
    const char* reason;
  } cases[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
       "with 400: control character or bare LF in a field value (RFC 9110 5.5); byte 28 is 0x01"},
      {"\x16\x03\x01", "with 400: TLS where plain HTTP is spoken; byte 0 is 0x16"},
      {"GET /%zz HTTP/1.1\r\n",
       "with 400: '%' without two hexadecimal digits (RFC 3986 2.1); byte 6 is 0x7a"},
      {get_request("/", "Host: b\r\n"), "with 400: repeated Host (RFC 9112 3.2)"},
      {"GET / HTTP/2.0\r\n\r\n",
       "with 505: major version other than 1 (RFC 9110 2.5); byte 11 is 0x32"},
      {"GET /" + std::string(9000, 'a'), "with 414: request line too long; byte 8194"},
      {get_request("/", "X: " + std::string(20'000, 'a') + "\r\n"),
       "with 431: header section too long; byte 16400 is 0x61"},
      {kPost + "Content-Length: 2000000\r\n\r\n",
       "with 413: Content-Length above the limit of a body"},
      {kPost + "Expect: x\r\n\r\n", "with 417: unknown expectation (RFC 9110 10.1.1)"},
      {kPost + "Transfer-Encoding: x, chunked\r\n\r\n",
       "with 501: unknown transfer coding (RFC 9112 6.1)"},
      {kPost + "Transfer-Encoding: chunked\r\n\r\n5 \r\n",
       "with 400: malformed chunk extension (RFC 9112 7.1.1); byte 0x0d"},
  };
  for (const auto& [request, reason] : cases) {
    static_cast<void>(logged(AccessLog::Format::common, request));
    EXPECT_TRUE(log.contains("refused a request from " + name + " " + reason)) << reason;
  }
}

TEST_P(ReasonTest, IsNamedForTimesToo) {
  Options options;
  options.header_timeout = options.body_timeout = milliseconds(20);
  options.body_rate = 0;
  const std::string head =
      logged(AccessLog::Format::common, "GET / HTTP/1.1\r\n", std::move(options));
  EXPECT_TRUE(head.ends_with("\"-\" 408 15 \"no whole head in time\"")) << head;
  Options more;
  more.body_timeout = milliseconds(20);
  more.body_rate = 0;
  const std::string body =
      logged(AccessLog::Format::common, kPost + "Content-Length: 9\r\n\r\n", std::move(more));
  EXPECT_TRUE(body.ends_with("408 15 \"content too slow\"")) << body;
}

INSTANTIATE_TEST_SUITE_P(Backends, ReasonTest, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, RefuseTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
