// SPDX-License-Identifier: MIT
// The entries that the server adds to its access log.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reactor/http/access_log.h"
#include "tests/support/http_kit.h"
#include "tests/support/temporary_folder.h"

namespace reactor::http {
namespace {

using std::chrono::milliseconds;

class ServerLogTest : public HttpTest {
 protected:
  ServerLogTest() {
    AccessLog::Options options;
    options.path = path;
    log = get(AccessLog::open(loop, options));
  }
  Options logging() {
    Options options;
    options.access_log = log.get();
    return options;
  }
  // Returns the log's lines from the request on, without the time.
  std::vector<std::string> lines() {
    log->flush();
    std::vector<std::string> result;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      EXPECT_EQ(line.rfind("127.0.0.1 - - [", 0), 0U) << line;
      result.push_back(line.substr(line.find("] ") + 2));
    }
    return result;
  }

  const TemporaryFolder folder;
  const std::string path = folder.file("log");
  std::unique_ptr<AccessLog> log;
};

using Lines = std::vector<std::string>;

TEST_P(ServerLogTest, ALineForEachResponse) {
  serve(
      [](const Request& request, Response& response) {
        if (request.target == "/throw") throw std::runtime_error("oops");
        response.status(request.target == "/none" ? 404 : 200).body("12345");
      },
      logging());
  Peer peer = client(get_request("/", "Referer: r\r\nUser-Agent: u\r\n") + get_request("/none") +
                     "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + "BAD\r\n\r\n");
  ASSERT_TRUE(until_over(peer));
  Peer other = client(get_request("/throw"));
  ASSERT_TRUE(until_over(other));
  EXPECT_EQ(
      lines(),
      (Lines{"\"GET / HTTP/1.1\" 200 5 \"r\" \"u\"", "\"GET /none HTTP/1.1\" 404 5 \"-\" \"-\"",
             "\"HEAD / HTTP/1.1\" 200 - \"-\" \"-\"",
             "\"-\" 400 11 \"-\" \"-\" \"malformed method (RFC 9110 9.1); byte 3 is 0x0d\"",
             "\"GET /throw HTTP/1.1\" 500 21 \"-\" \"-\" \"the handler threw\""}));
}

TEST_P(ServerLogTest, ADeferredResponseIsLoggedWithItsOwnRequest) {
  std::vector<Responder> responders;
  serve([&](const Request&, Response& response) { responders.push_back(response.defer()); },
        logging());
  Peer first = client(get_request("/1"));
  ASSERT_TRUE(run_bounded(loop, [&] { return responders.size() == 1; }));
  Peer second = client(get_request("/2"));
  ASSERT_TRUE(run_bounded(loop, [&] { return responders.size() == 2; }));
  responders[0].send(Response().body("one"));
  responders[1].begin(Response());
  responders[1].write("12345");
  responders[1].write("67");
  responders[1].finish();
  EXPECT_EQ(lines(), (Lines{"\"GET /1 HTTP/1.1\" 200 3 \"-\" \"-\"",
                            "\"GET /2 HTTP/1.1\" 200 7 \"-\" \"-\""}));
}

TEST_P(ServerLogTest, AResponseThatIsCutShortIsLoggedAsFarAsItWent) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error of a reset, which then reads as an end");
  std::vector<Responder> responders;
  serve([&](const Request&, Response& response) { responders.push_back(response.defer()); },
        logging());
  Peer peer = client(get_request("/1"));
  ASSERT_TRUE(run_bounded(loop, [&] { return responders.size() == 1; }));
  responders[0].begin(Response());
  responders[0].write("12345");
  reset_on_close(peer.fd.get());
  peer.fd.reset();
  ASSERT_TRUE(run_bounded(loop, [&] { return !responders[0]; }));
  EXPECT_EQ(lines(), (Lines{"\"GET /1 HTTP/1.1\" 200 5 \"-\" \"-\""}));
}

TEST_P(ServerLogTest, WhatIsRefusedAmidItsContentIsLoggedWithItsRequest) {
  Options options = logging();
  options.body_timeout = milliseconds(20);
  options.header_timeout = milliseconds(20);
  options.body_rate = 0;
  serve([](const Request&, Response&) {}, std::move(options));
  const std::string post = "POST /up HTTP/1.1\r\nHost: a\r\n";
  Peer late = client(post + "Content-Length: 9\r\n\r\nabc");
  ASSERT_TRUE(until_over(late));
  Peer large = client(post + "Content-Length: 99999999\r\n\r\n");
  ASSERT_TRUE(until_over(large));
  Peer wrong = client(post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
  ASSERT_TRUE(until_over(wrong));
  Peer head = client("GET /never");
  ASSERT_TRUE(until_over(head));
  const Lines logged = lines();
  ASSERT_EQ(logged.size(), 4U);
  EXPECT_EQ(logged[0], "\"POST /up HTTP/1.1\" 408 15 \"-\" \"-\" \"content too slow\"");
  EXPECT_EQ(logged[1].substr(logged[1].find("413")),
            "413 17 \"-\" \"-\" \"Content-Length above the limit of a body\"");
  EXPECT_EQ(logged[2],
            "\"POST /up HTTP/1.1\" 400 11 \"-\" \"-\" \"malformed chunk size (RFC 9112 7.1); byte "
            "0x7a\"");
  EXPECT_EQ(logged[3], "\"-\" 408 15 \"-\" \"-\" \"no whole head in time\"");
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerLogTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
