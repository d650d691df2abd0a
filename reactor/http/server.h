// SPDX-License-Identifier: MIT
// http::Server: HTTP/1.1 (RFC 9110, 9112) for handlers that answer at once.
//
//   auto server = reactor::http::Server::listen(
//       loop, address, [](const reactor::http::Request& request, reactor::http::Response& response)
//       {
//         response.content_type("text/plain").body("OK\n");
//       }).value();
//   loop.run().value();
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/http/limits.h"
#include "reactor/http/request.h"
#include "reactor/http/response.h"
#include "reactor/net/address.h"
#include "reactor/net/server.h"

namespace reactor::http {

// Answers one request. The request's views, its body among them, last until the handler returns.
// One that throws is answered with a 500, and the loop goes on: what() is logged.
using Handler = Callback<void(const Request&, Response&)>;

struct Options {
  // Client speaks first, so a connection is handed over with its request (TCP_DEFER_ACCEPT).
  Options() { transport.listen.defer_accept = std::chrono::seconds(1); }

  Limits limits;
  // From the opening of a connection, or the first octet of a later request, to the end of its
  // head; then the same again for its content. 408 when it passes.
  Duration header_timeout = std::chrono::seconds(60);
  Duration body_timeout = std::chrono::seconds(60);
  // How long a connection may wait for its next request.
  Duration keep_alive = std::chrono::seconds(75);
  // Connections, listening, write queue. Its idle time-out is set from keep_alive.
  ServerLimits transport;
};

// Keep-alive, pipelining (answers in order, those of one read leave together), HEAD, HTTP/1.0,
// bodies collected up to Limits::body, Expect: 100-continue. What is malformed is refused with the
// right status, and the connection is closed so that the answer arrives. Belongs to its loop's
// thread; the handler may call drain(), not destroy the server.
class Server {
 public:
  // Binds, listens, accepts. Errors: those of reactor::Server::listen().
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(Loop& loop,
                                                              std::span<const Address> addresses,
                                                              Handler handler,
                                                              Options options = {});
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(Loop& loop, const Address& address,
                                                              Handler handler,
                                                              Options options = {});
  // Takes sockets that listen already. Errors: those of reactor::Server::adopt().
  [[nodiscard]] static Result<std::unique_ptr<Server>> adopt(Loop& loop,
                                                             std::vector<Socket> sockets,
                                                             Handler handler, Options options = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Stops accepting, lets running requests finish with `Connection: close`, closes idle
  // connections; `done` is called from the loop when the last is gone.
  void drain(Callback<void()> done = {});

  [[nodiscard]] std::vector<Address> addresses() const;
  [[nodiscard]] std::size_t connections() const noexcept;
  // Connections accepted since the start.
  [[nodiscard]] std::uint64_t accepted() const noexcept;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts) noexcept;

  std::unique_ptr<Parts> parts_;
};

}  // namespace reactor::http
