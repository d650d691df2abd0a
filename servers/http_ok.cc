// SPDX-License-Identifier: MIT
#include "servers/http_ok.h"

#include "reactor/http/server.h"

namespace servers {

int serve_http_ok(reactor::prefork::Worker& worker, const Service& service) {
  reactor::http::Options http;
  const bool close = service.keep_alive == reactor::Duration::zero();
  if (!close) http.keep_alive = service.keep_alive;
  http.transport.max_connections = service.max_connections;
  reactor::http::PreparedFields fields;
  static_cast<void>(fields.add("Content-Type", service.content_type));  // checked at start
  auto server = reactor::http::Server::adopt(
                    worker.loop(), worker.listeners(),
                    [&](const reactor::http::Request&, reactor::http::Response& response) {
                      response.headers(fields).body(service.body);
                      if (close) response.close();
                    },
                    std::move(http))
                    .value();
  worker.on_drain([&] { server->drain([&] { worker.loop().stop(); }); });
  return worker.run();
}

}  // namespace servers
