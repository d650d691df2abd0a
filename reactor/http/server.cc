// SPDX-License-Identifier: MIT
#include "reactor/http/server.h"

#include "reactor/http/connection.h"

namespace reactor::http {

struct Server::Parts {
  Parts(Handler handler, Options options) : service(std::move(handler), std::move(options)) {}

  Service service;  // outlives the connections
  std::unique_ptr<reactor::Server<Connection>> server;
};

namespace {

Options with_keep_alive(Options options) {
  options.transport.stream.idle_timeout = options.keep_alive;
  return options;
}

}  // namespace

Server::Server(std::unique_ptr<Parts> parts) noexcept : parts_(std::move(parts)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(Loop& loop, std::span<const Address> addresses,
                                               Handler handler, Options options) {
  auto parts = std::make_unique<Parts>(std::move(handler), with_keep_alive(std::move(options)));
  auto server = reactor::Server<Connection>::listen(
      loop, addresses, parts->service.options.transport, parts->service);
  if (!server) return server.error();
  parts->server = std::move(*server);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Result<std::unique_ptr<Server>> Server::listen(Loop& loop, const Address& address, Handler handler,
                                               Options options) {
  return listen(loop, std::span<const Address>(&address, 1), std::move(handler),
                std::move(options));
}

Result<std::unique_ptr<Server>> Server::adopt(Loop& loop, std::vector<Socket> sockets,
                                              Handler handler, Options options) {
  auto parts = std::make_unique<Parts>(std::move(handler), with_keep_alive(std::move(options)));
  auto server = reactor::Server<Connection>::adopt(
      loop, std::move(sockets), parts->service.options.transport, parts->service);
  if (!server) return server.error();
  parts->server = std::move(*server);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

void Server::drain(Callback<void()> done) {
  parts_->service.draining = true;
  parts_->server->drain(std::move(done));
}

std::vector<Address> Server::addresses() const { return parts_->server->addresses(); }
std::size_t Server::connections() const noexcept { return parts_->server->connections(); }
std::uint64_t Server::accepted() const noexcept { return parts_->server->accepted(); }

}  // namespace reactor::http
