// SPDX-License-Identifier: MIT
// Options: the settings of an http::Server.
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

// Answers one request, or defers the answer. The request's views, also its body, are valid until
// the handler returns. If the handler throws, the client gets a 500, what() is logged, and the loop
// goes on.
using Handler = Callback<void(const Request&, Response&)>;

// What the server does with a request's content.
enum class Content : std::uint8_t {
  collect,  // calls the handler with all of it in Request::body
  stream,   // calls the handler at once; Responder::on_body() gets the content
  discard,  // calls the handler, with an empty body, when all of it has come
  refuse,   // sends the response that on_head filled in, and reads no content
};

struct Options {
  // Returns the listen options that suit HTTP. The client speaks first, so the kernel hands over a
  // connection together with its request. Answers that a client does not read wait in the server,
  // where they hold back further requests, and not in the kernel.
  [[nodiscard]] static ListenOptions listening() noexcept {
    ListenOptions options;
    options.defer_accept = std::chrono::seconds(1);
    options.unsent_limit = 64 * 1024;
    return options;
  }
  Options() { transport.listen = listening(); }

  Limits limits;
  // The most bytes of content that are collected for a handler (413 if exceeded). limits.body
  // applies too.
  std::size_t collected_body = 1024 * 1024;
  // The longest time from the opening of a connection, or from the first byte of a later request,
  // to the end of the request's head. If it passes, the client gets a 408.
  Duration header_timeout = std::chrono::seconds(60);
  // The longest time for a request's content. Each `body_rate` bytes that came add a second; if
  // that is 0, nothing does. If the time passes, the client gets a 408. It stands still during
  // pause_body().
  Duration body_timeout = std::chrono::seconds(60);
  std::uint32_t body_rate = 500;
  // The longest time that a connection may wait for its next request.
  Duration keep_alive = std::chrono::seconds(75);
  // When the server drains, idle connections are closed at random moments within this time. So
  // their clients don't all reconnect at once, and a request that is on its way is still answered.
  Duration drain_spread = std::chrono::seconds(1);
  // Called at the end of the head of each request that has content; decides what becomes of it.
  // Without it, Content::collect applies. The request's views are valid until it returns. Fill in
  // the response for Content::refuse only.
  Callback<Content(const Request&, Response&)> on_head;
  // Makes the handler of an upgraded connection that comes from another process, after the handler
  // there agreed in on_hand_over(). on_adopt() of the new handler follows. The handler must outlive
  // the connection. If this is empty or returns null, such connections are closed.
  Callback<StreamHandler*()> on_adopt_upgraded;
  // The log of all requests; null: none. Must outlive the server.
  AccessLog* access_log = nullptr;
  // Limits of connections, listening and the write queue. The idle timeout in it is set from
  // keep_alive.
  ServerLimits transport;
};

}  // namespace reactor::http
