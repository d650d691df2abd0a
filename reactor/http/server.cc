// SPDX-License-Identifier: MIT
// http::Server is a ServerBase whose connections, and the Shared that they use, are members of
// Parts, because both must outlive a handler that destroys the http::Server.
#include "reactor/http/server.h"

#include "reactor/http/internal/http_connection.h"
#include "reactor/net/connection_set.h"

namespace reactor::http {

struct Server::Parts {
  Parts(Loop& loop, Handler handler, Options options)
      : shared(loop, std::move(handler), std::move(options)), connections(shared) {
    auto owner = std::make_unique<std::unique_ptr<Parts>>();
    last_owner = owner.get();
    end = loop.deferred([owner = std::move(owner)] { owner->reset(); });
  }

  Shared shared;  // outlives the connections
  Connections<Connection> connections;
  // If a handler destroys the Server, the Parts move to `last_owner`, and `end` destroys them
  // later. `last_owner` and `end` are made in advance, because a destructor must not run out of
  // memory.
  std::unique_ptr<Parts>* last_owner = nullptr;
  Deferred end;
};

Server::Server(LoopHere here, std::unique_ptr<Parts> parts)
    : ServerBase(here.loop, parts->shared.options.transport, here.where, parts->connections),
      parts_(std::move(parts)) {}

std::unique_ptr<Server> Server::make(LoopHere here, Handler handler, Options options) {
  options.transport.stream.idle_timeout = options.keep_alive;
  auto parts = std::make_unique<Parts>(here.loop, std::move(handler), std::move(options));
  return std::unique_ptr<Server>(new Server(here, std::move(parts)));
}

// If a handler destroys the server, parts_ is destroyed later, from the loop, because the handler
// and the code that called it belong to parts_.
Server::~Server() {
  if (!parts_->connections.end_in_callback()) return;
  parts_->shared.limit_reached = Deferred();
  Parts& parts = *parts_;
  *parts.last_owner = std::move(parts_);
  parts.end.schedule();
}

Result<std::unique_ptr<Server>> Server::listen(LoopHere here, std::span<const Address> addresses,
                                               Handler handler, Options options) {
  std::unique_ptr<Server> server = make(here, std::move(handler), std::move(options));
  if (const std::error_code error = server->listen_at(addresses)) return error;
  return server;
}

Result<std::unique_ptr<Server>> Server::listen(LoopHere here, const Address& address,
                                               Handler handler, Options options) {
  return listen(here, std::span<const Address>(&address, 1), std::move(handler),
                std::move(options));
}

Result<std::unique_ptr<Server>> Server::adopt(LoopHere here, std::vector<Socket> sockets,
                                              Handler handler, Options options) {
  std::unique_ptr<Server> server = make(here, std::move(handler), std::move(options));
  if (const std::error_code error = server->adopt_sockets(std::move(sockets))) return error;
  return server;
}

void Server::drain(Callback<void()> done) {
  parts_->shared.draining = true;
  ServerBase::drain(std::move(done));
}

void Server::set_limit(std::uint64_t requests, Callback<void()> reached) {
  Shared& shared = parts_->shared;
  const std::uint64_t left = reached ? requests : 0;
  // This may throw, so it comes before the count, which must not reach 0 without limit_reached.
  shared.limit_reached = left > 0 ? loop().deferred(std::move(reached)) : Deferred();
  shared.requests_left = left;
}

}  // namespace reactor::http
