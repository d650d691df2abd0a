// SPDX-License-Identifier: MIT
// Memory that the HTTP server lends to handlers, and callbacks that destroy their own server.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/internal/poison.h"
#include "tests/support/http_kit.h"

namespace reactor::http {
namespace {

class LentTest : public HttpTest {};

// The sanitizer poisons memory in groups of 8 bytes, so the texts must be longer than that.
const std::string kLong(64, 'l');

std::string padded_post(std::string_view body) {
  return "POST /" + kLong + " HTTP/1.1\r\nHost: a\r\nX: " + kLong +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// The requests come in one read, in two reads, and pipelined. Each one is intact although the one
// before it is poisoned.
TEST_P(LentTest, ARequestIsPoisonedAfterItsHandler) {
  std::vector<const void*> kept;
  std::string texts;
  serve([&](const Request& request, Response& response) {
    texts += std::string(request.target) + std::string(request.body) +
             std::string(request.field("X").value());
    kept = {request.target.data(), request.fields[1].value.data(), request.fields.data()};
    if (!request.body.empty()) kept.push_back(request.body.data());
    response.body("ok");
  });
  const std::string one = "/" + kLong + kLong + kLong;
  Peer peer = client(padded_post(kLong) + padded_post(kLong));
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), count(peer.got, "200 OK") == 2; }));
  const std::string cut = padded_post(kLong);
  peer.write(std::string_view(cut).substr(0, 100));
  run_for(loop, std::chrono::milliseconds(2));
  peer.write(std::string_view(cut).substr(100));
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), count(peer.got, "200 OK") == 3; }));
  EXPECT_EQ(texts, one + one + one);
  for (const void* old : kept) EXPECT_EQ(is_poisoned(old), kPoisons);
}

TEST_P(LentTest, APieceOfABodyIsPoisonedAfterItsCall) {
  Options options;
  options.on_head = [](const Request&, Response&) { return Content::stream; };
  std::vector<const char*> kept;
  std::string text;
  std::unique_ptr<Responder> responder;
  serve(
      [&](const Request&, Response& response) {
        responder = std::make_unique<Responder>(response.defer());
        responder->on_body([&](std::string_view part, bool last) {
          text += part;
          if (!part.empty()) kept = {part.data()};
          if (last) responder->send(Response().body("ok"));
        });
      },
      std::move(options));
  Peer peer = client(padded_post(kLong + kLong).substr(0, padded_post(kLong + kLong).size() - 40));
  EXPECT_TRUE(pump(loop, [&] { return !text.empty(); }));
  peer.write(std::string(40, 'l'));
  EXPECT_TRUE(until(peer, "200 OK"));
  EXPECT_EQ(text, kLong + kLong);
  EXPECT_EQ(is_poisoned(kept.front()), kPoisons);
}

// ---- Callbacks ----

// Each kind of callback destroys the server, and uses its own captures afterwards.
TEST_P(LentTest, EachMayDestroyTheServer) {
  enum class At { handler, on_head, on_body, on_close };
  for (const At at : {At::handler, At::on_head, At::on_body, At::on_close}) {
    // libkqueue reports a reset as an end.
    if (at == At::on_close && on_libkqueue(GetParam())) continue;
    SCOPED_TRACE(static_cast<int>(at));
    std::string said;
    std::unique_ptr<Responder> responder;
    const auto destroy = [&, own = std::string(100, 'o')] {
      server.reset();
      said = own;
    };
    Options options;
    options.on_head = [&, at, destroy](const Request&, Response&) {
      if (at == At::on_head) destroy();
      return Content::stream;
    };
    serve(
        [&, at, destroy](const Request&, Response& response) {
          if (at != At::handler) {
            responder = std::make_unique<Responder>(response.defer());
            if (at == At::on_body) {
              responder->on_body([destroy](std::string_view, bool) { destroy(); });
            }
            if (at == At::on_close) responder->on_close([destroy] { destroy(); });
            return;
          }
          destroy();
          response.body("too late");
        },
        std::move(options));
    Peer peer = client(padded_post("body") + get_request());
    Peer other = client("GET /");  // a client that sends nothing is only accepted after 1 s
    if (at == At::on_close) {
      EXPECT_TRUE(pump(loop, [&] { return responder != nullptr; }));
      reset_on_close(peer.fd.get());
      peer.fd.reset();
    }
    EXPECT_TRUE(pump(loop, [&] {
      if (peer.fd) peer.read();
      return !said.empty();
    }));
    EXPECT_EQ(server, nullptr);
    EXPECT_EQ(said, std::string(100, 'o'));
    EXPECT_TRUE(until_over(other));
    EXPECT_EQ(count(peer.got, "too late"), 0U);
    EXPECT_FALSE(responder && *responder);
  }
}

TEST_P(LentTest, TheLimitsFunctionMaySetTheNextLimit) {
  serve([](const Request&, Response& response) { response.body("ok"); });
  std::string said;
  server->set_limit(2, [this, &said, own = std::string("two")] {
    server->set_limit(1, [&said] { said += " three"; });
    said += own;
  });
  Peer peer = client(get_request() + get_request());
  EXPECT_TRUE(pump(loop, [&] { return said == "two"; }));
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), count(peer.got, "200 OK") == 2; }));
  peer.write(get_request());
  EXPECT_TRUE(pump(loop, [&] { return said == "two three"; }));
}

TEST_P(LentTest, OnBodyMayReplaceItself) {
  Options options;
  options.on_head = [](const Request&, Response&) { return Content::stream; };
  std::string first, rest;
  std::unique_ptr<Responder> responder;
  serve(
      [&](const Request&, Response& response) {
        responder = std::make_unique<Responder>(response.defer());
        responder->on_body([&, own = std::string(100, 'o')](std::string_view part, bool) {
          responder->on_body([&](std::string_view more, bool last) {
            rest += more;
            if (last) responder->send(Response().body("ok"));
          });
          first += part;
          EXPECT_EQ(own, std::string(100, 'o'));
        });
      },
      std::move(options));
  const std::string request = padded_post("12345678");
  Peer peer = client(std::string_view(request).substr(0, request.size() - 4));
  EXPECT_TRUE(pump(loop, [&] { return first == "1234"; }));
  peer.write("5678");
  EXPECT_TRUE(until(peer, "200 OK"));
  EXPECT_EQ(rest, "5678");
}

INSTANTIATE_TEST_SUITE_P(Backends, LentTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::http
