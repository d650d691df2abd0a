// SPDX-License-Identifier: MIT
// http::Server: HTTP/1.1 (RFC 9110, 9112) for handlers that answer at once, later or in pieces.
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
#include "reactor/base/result.h"
#include "reactor/http/http_options.h"
#include "reactor/http/responder.h"
#include "reactor/net/address.h"
#include "reactor/net/server.h"

namespace reactor::http {

// Supports keep-alive, pipelining (responses leave in order, and those to the requests of one read
// leave together), HEAD, HTTP/1.0, collected and streamed bodies, Expect: 100-continue, and
// upgrades. A malformed request is refused with the right status, and the connection is closed in
// such a way that the response still reaches the client. A CONNECT gets a 501 unless the handler
// upgrades or refuses it. If the response to a CONNECT makes no tunnel, the connection is closed,
// and nothing after the request is read. The server reads nothing more from a client that does not
// read its responses.
//
// A connection is idle, and can be handed over, between two requests.
//
// Belongs to its loop's thread. Handlers and callbacks may call drain() and may destroy the server.
// Destroying the server closes all connections immediately. A handler or callback that is running
// is destroyed after it has returned. Responders may outlive the server, and are then dead. If a
// handler destroyed the server, they are dead once that handler has returned.
class Server final : public ServerBase {
 public:
  // Binds, listens and accepts. Errors: those of reactor::Server::listen().
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(LoopHere here,
                                                              std::span<const Address> addresses,
                                                              Handler handler,
                                                              Options options = {});
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(LoopHere here, const Address& address,
                                                              Handler handler,
                                                              Options options = {});
  // Takes sockets that listen already. Errors: those of reactor::Server::adopt().
  [[nodiscard]] static Result<std::unique_ptr<Server>> adopt(LoopHere here,
                                                             std::vector<Socket> sockets,
                                                             Handler handler, Options options = {});
  ~Server();

  // Ends the server as reactor::Server::drain() does. Requests in progress are answered with
  // `Connection: close`, and idle connections are closed within Options::drain_spread.
  void drain(Callback<void()> done = {}) override;

  // Counts requests, not connections: see Service::set_limit().
  void set_limit(std::uint64_t requests, Callback<void()> reached) override;

 private:
  struct Parts;
  Server(LoopHere here, std::unique_ptr<Parts> parts);
  [[nodiscard]] static std::unique_ptr<Server> make(LoopHere here, Handler handler,
                                                    Options options);

  std::unique_ptr<Parts> parts_;
};

}  // namespace reactor::http
