// SPDX-License-Identifier: MIT
// Options has the settings of an http::Server.
#pragma once

#include <cstddef>
#include <cstdint>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/http/limits.h"
#include "reactor/http/request.h"
#include "reactor/http/response.h"
#include "reactor/net/server.h"

namespace reactor::http {

class AccessLog;

// A Handler answers one request, or defers the response. The views in the request, and its body,
// are valid until the handler returns. If the handler throws, the client gets a 500, what() is
// logged, and the loop continues.
using Handler = Callback<void(const Request&, Response&)>;

// Content tells what the server does with a request's content.
enum class Content : std::uint8_t {
  collect,  // calls the handler with all of it in Request::body
  stream,   // calls the handler immediately; Responder::on_body() gets the content
  discard,  // drops it, then calls the handler with an empty body
  refuse,   // sends the response that on_head filled in, and reads no content
};

struct Options {
  // Returns the listen options that suit HTTP. `defer_accept`: the client speaks first, so the
  // kernel holds a connection back until its first bytes arrive, for at most about a second.
  // `unsent_limit`: responses that a client does not read wait in the server instead of in the
  // kernel. So the server notices such a client, and reads no further requests from it.
  [[nodiscard]] static ListenOptions listening() noexcept {
    ListenOptions options;
    options.defer_accept = std::chrono::seconds(1);
    options.unsent_limit = 64 * 1024;
    return options;
  }
  Options() { transport.listen = listening(); }

  Limits limits;
  // The most bytes of content that are collected for a handler. A client that sends more gets a
  // 413. limits.body applies too.
  std::size_t collected_body = 1024 * 1024;
  // The longest time from the opening of a connection, or from the first byte of a later request,
  // to the end of the request's head. A client that takes longer gets a 408.
  Duration header_timeout = std::chrono::seconds(60);
  // The longest time for a request's content. Each `body_rate` received bytes add a second to it,
  // unless `body_rate` is 0. A client that takes longer gets a 408. The time between pause_body()
  // and resume_body() does not count.
  Duration body_timeout = std::chrono::seconds(60);
  std::uint32_t body_rate = 500;
  // The longest time that a connection may wait for its next request.
  Duration keep_alive = std::chrono::seconds(75);
  // When the server drains, idle connections are closed at random moments within this time. So
  // their clients don't all reconnect at the same time, and requests that are already on their way
  // are still answered.
  Duration drain_spread = std::chrono::seconds(1);
  // Called when the head of a request with content is complete. Decides what the server does with
  // the content. If this callback is empty, Content::collect applies. The views in the request are
  // valid until the callback returns. Fill in the response for Content::refuse only.
  Callback<Content(const Request&, Response&)> on_head;
  // Returns the handler for an upgraded connection that another process handed over, after the
  // handler there agreed in on_hand_over(). The server then calls the on_adopt() of the new
  // handler, which must outlive the connection. If this callback is empty or returns null, such
  // connections are closed.
  Callback<StreamHandler*()> on_adopt_upgraded;
  // The log of all requests; null: none. Must outlive the server.
  AccessLog* access_log = nullptr;
  // The limits of connections, listening and the write queue. The server replaces their idle
  // timeout by keep_alive.
  ServerLimits transport;
};

}  // namespace reactor::http
