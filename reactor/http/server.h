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
// Belongs to its loop's thread. Handlers and callbacks may call drain() and may destroy the server.
// Destroying the server closes all connections immediately. A handler or callback that is running
// is destroyed after it has returned. Responders may outlive the server, and are then dead. If a
// handler destroyed the server, they are dead once that handler has returned.
class Server final : public reactor::Service {
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
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Ends the server as reactor::Server::drain() does. Requests in progress are answered with
  // `Connection: close`, and idle connections are closed within Options::drain_spread.
  void drain(Callback<void()> done = {}) override;

  // See Service. A connection is idle between requests. The limit counts requests.
  void hand_over(HandOverTarget& target, Callback<void()> done) override;
  void offer_again() override;
  Result<> adopt_connection(Socket connection, std::span<const std::byte> state) override;
  void share_listeners() override;
  Result<> borrow(int listening_fd) override;
  void give_back(int listening_fd) noexcept override;
  void set_placement(Callback<bool(const Socket&)> keep) override;
  void set_counter(Counter& connections) noexcept override;
  void set_on_room(Callback<void()> room) override;
  void set_limit(std::uint64_t requests, Callback<void()> reached) override;

  [[nodiscard]] std::vector<Address> addresses() const;
  [[nodiscard]] std::size_t connections() const noexcept override;
  [[nodiscard]] std::size_t most_connections() const noexcept override;
  // Returns how many connections were accepted since the start.
  [[nodiscard]] std::uint64_t accepted() const noexcept override;

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts) noexcept;

  std::unique_ptr<Parts> parts_;
};

}  // namespace reactor::http
