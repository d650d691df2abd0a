// SPDX-License-Identifier: MIT
// http::Server is a reactor::Server<Connection> and the Shared that its connections use. Both are
// members of Parts, because they must outlive a handler that destroys the http::Server.
#include "reactor/http/server.h"

#include "reactor/http/internal/http_connection.h"

namespace reactor::http {

struct Server::Parts {
  Parts(Loop& loop, Handler handler, Options options)
      : shared(loop, std::move(handler), std::move(options)) {
    auto owner = std::make_unique<std::unique_ptr<Parts>>();
    last_owner = owner.get();
    end = loop.deferred([owner = std::move(owner)] { owner->reset(); });
  }

  Shared shared;  // outlives the connections
  std::unique_ptr<reactor::Server<Connection>> server;
  // If a handler destroys the Server, the Parts move to `last_owner`, and `end` destroys them
  // later. `last_owner` and `end` are made in advance, because a destructor must not run out of
  // memory.
  std::unique_ptr<Parts>* last_owner = nullptr;
  Deferred end;
};

namespace {

Options with_keep_alive(Options options) {
  options.transport.stream.idle_timeout = options.keep_alive;
  return options;
}

}  // namespace

Server::Server(std::unique_ptr<Parts> parts) noexcept : parts_(std::move(parts)) {}

// If a handler destroys the server, parts_ is destroyed later, from the loop, because the handler
// and the code that called it belong to parts_.
Server::~Server() {
  if (parts_ == nullptr || parts_->server == nullptr) return;
  if (!parts_->server->end_in_callback()) return;
  parts_->shared.limit_reached = Deferred();
  Parts& parts = *parts_;
  *parts.last_owner = std::move(parts_);
  parts.end.schedule();
}

Result<std::unique_ptr<Server>> Server::listen(LoopHere here, std::span<const Address> addresses,
                                               Handler handler, Options options) {
  auto parts =
      std::make_unique<Parts>(here.loop, std::move(handler), with_keep_alive(std::move(options)));
  auto server = reactor::Server<Connection>::listen(here, addresses,
                                                    parts->shared.options.transport, parts->shared);
  if (!server) return server.error();
  parts->server = std::move(*server);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

Result<std::unique_ptr<Server>> Server::listen(LoopHere here, const Address& address,
                                               Handler handler, Options options) {
  return listen(here, std::span<const Address>(&address, 1), std::move(handler),
                std::move(options));
}

Result<std::unique_ptr<Server>> Server::adopt(LoopHere here, std::vector<Socket> sockets,
                                              Handler handler, Options options) {
  auto parts =
      std::make_unique<Parts>(here.loop, std::move(handler), with_keep_alive(std::move(options)));
  auto server = reactor::Server<Connection>::adopt(here, std::move(sockets),
                                                   parts->shared.options.transport, parts->shared);
  if (!server) return server.error();
  parts->server = std::move(*server);
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

void Server::drain(Callback<void()> done) {
  parts_->shared.draining = true;
  parts_->server->drain(std::move(done));
}

void Server::hand_over(HandOverTarget& target, Callback<void()> done) {
  parts_->server->hand_over(target, std::move(done));
}
void Server::offer_again() { parts_->server->offer_again(); }

Result<> Server::adopt_connection(Socket connection, std::span<const std::byte> state) {
  return parts_->server->adopt_connection(std::move(connection), state);
}

void Server::share_listeners() { parts_->server->share_listeners(); }
Result<> Server::borrow(int listening_fd) { return parts_->server->borrow(listening_fd); }
void Server::give_back(int listening_fd) noexcept { parts_->server->give_back(listening_fd); }

void Server::set_placement(Callback<bool(const Socket&)> keep) {
  parts_->server->set_placement(std::move(keep));
}

void Server::set_counter(Counter& connections) noexcept {
  parts_->server->set_counter(connections);
}

void Server::set_on_room(Callback<void()> room) { parts_->server->set_on_room(std::move(room)); }

void Server::set_limit(std::uint64_t requests, Callback<void()> reached) {
  Shared& shared = parts_->shared;
  const std::uint64_t left = reached ? requests : 0;
  // This may throw, so it comes before the count, which must not reach 0 without limit_reached.
  shared.limit_reached =
      left > 0 ? parts_->server->loop().deferred(std::move(reached)) : Deferred();
  shared.requests_left = left;
}

std::vector<Address> Server::addresses() const { return parts_->server->addresses(); }
std::size_t Server::connections() const noexcept { return parts_->server->connections(); }
std::size_t Server::most_connections() const noexcept { return parts_->server->most_connections(); }
std::uint64_t Server::accepted() const noexcept { return parts_->server->accepted(); }

}  // namespace reactor::http
