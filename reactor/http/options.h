// SPDX-License-Identifier: MIT
// Options: how an http::Server treats its clients.
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

// Answers one request, or defers that. The request's views, its body among them, last until the
// handler returns. One that throws is answered with a 500, and the loop goes on: what() is logged.
using Handler = Callback<void(const Request&, Response&)>;

// What becomes of a request's content.
enum class Content : std::uint8_t {
  collect,  // the handler is called when all of it is there, in Request::body
  stream,   // it is called at once and gets the content by Responder::on_body()
  discard,  // it is called, with an empty body, when all of it has come
  refuse,   // the response that was filled in is sent at once, no content is read
};

struct Options {
  // What suits HTTP: the client speaks first, so a connection is handed over with its request, and
  // answers that nobody reads wait here, where they hold back further requests, not in the kernel.
  [[nodiscard]] static ListenOptions listening() noexcept {
    ListenOptions options;
    options.defer_accept = std::chrono::seconds(1);
    options.unsent_limit = 64 * 1024;
    return options;
  }
  Options() { transport.listen = listening(); }

  Limits limits;
  // Octets of content that are collected for a handler (413 above); the smaller one of this and
  // limits.body counts.
  std::size_t collected_body = 1024 * 1024;
  // From the opening of a connection, or the first octet of a later request, to the end of its
  // head. 408 when it passes.
  Duration header_timeout = std::chrono::seconds(60);
  // For its content: the time that is allowed, to which each `body_rate` octets that came add a
  // second (0: none). 408 when it passes. The clock stands still while pause_body() holds.
  Duration body_timeout = std::chrono::seconds(60);
  std::uint32_t body_rate = 500;
  // How long a connection may wait for its next request.
  Duration keep_alive = std::chrono::seconds(75);
  // When the server drains, idle connections are closed at moments spread over this time, so that
  // their clients don't all come back at once, and a request that is on its way is still answered.
  Duration drain_spread = std::chrono::seconds(1);
  // Asked at the end of the head of each request that has content. Without it: Content::collect.
  // Its views last until it returns. `response` is for Content::refuse.
  Callback<Content(const Request&, Response&)> on_head;
  // Makes the handler of an upgraded connection that comes from another process, where its own one
  // agreed by on_migrate(); on_adopt() follows. It outlives the connection. Without it, and for
  // null, such a connection is closed.
  Callback<StreamHandler*()> on_adopt_upgraded;
  // Where requests are logged; null: nowhere. Outlives the server.
  AccessLog* access_log = nullptr;
  // Connections, listening, write queue. Its idle time-out is set from keep_alive.
  ServerLimits transport;
};

}  // namespace reactor::http
