// SPDX-License-Identifier: MIT
// This header helps the tests of the HTTP server: a server in a loop, and clients that are plain
// sockets.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/http/internal/parse/body.h"
#include "reactor/http/server.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor::http {

inline std::string get_request(std::string_view target = "/", std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

// Returns the content of `answer` if that is exactly one answer with a Content-Length, else "?".
inline std::string content_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  const std::size_t length = answer.find("\r\nContent-Length: ");
  if (end == std::string::npos || length == std::string::npos || length > end) return "?";
  const std::string content = answer.substr(end + 4);
  return std::stoul(answer.substr(length + 18)) == content.size() ? content : "?";
}

inline std::size_t count(std::string_view text, std::string_view part) {
  std::size_t number = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) {
    ++number;
  }
  return number;
}

// Returns chunked content without its framing; "?" if it is malformed, incomplete, or followed by
// more.
inline std::string dechunk(std::string_view text) {
  std::string content;
  ChunkedDecoder decoder;
  ChunkedDecoder::Step step{.state = ChunkedDecoder::State::data};
  while (step.state == ChunkedDecoder::State::data) {
    step = decoder.next(text, {.body = 1 << 30});
    text.remove_prefix(step.consumed);
    content += step.data;
  }
  return step.state == ChunkedDecoder::State::done && text.empty() ? content : "?";
}

class HttpTest : public LoopTest {
 protected:
  void TearDown() override { server.reset(); }

  void serve(Handler handler, Options options = {}) {
    server =
        get(Server::listen(loop, Address::loopback(0), std::move(handler), std::move(options)));
  }

  Peer client(std::string_view request = "") {
    Peer peer;
    peer.fd = get(Socket::connect(server->addresses().at(0))).release();
    EXPECT_EQ(peer.write(request), request.size());
    return peer;
  }

  // Runs turns until the client has got `text` or its connection has ended. Each turn looks at the
  // new bytes only, since a large answer takes many turns.
  bool until(Peer& peer, std::string_view text) {
    std::size_t from = 0;
    std::size_t found = std::string::npos;
    static_cast<void>(pump(loop, [&] {
      peer.read();
      found = peer.got.find(text, from);
      from = std::max(from + text.size(), peer.got.size() + 1) - text.size();
      return peer.over() || found != std::string::npos;
    }));
    return found != std::string::npos;
  }

  bool until_over(Peer& peer) {
    return pump(loop, [&] { return peer.read(), peer.over(); });
  }

  // Runs turns until all bytes on the way must have arrived.
  void settle(Peer& peer) {
    run_for(loop, std::chrono::milliseconds(20));
    peer.read();
  }

  Loop loop{options()};
  std::unique_ptr<Server> server;
};

}  // namespace reactor::http
