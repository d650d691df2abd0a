// SPDX-License-Identifier: MIT
#include "reactor/coro/server.h"

#include <string>

#include "reactor/base/log.h"

namespace reactor::coro {

// A Connection lives until its task is done and its stream is gone.
class Server::Connection final : public Root, private StreamWatcher {
 public:
  Connection(Server& server, Socket socket, SourceLocation where)
      : Root(server.tasks_),
        server_(server),
        state_(new StreamState(server.loop(), std::move(socket), server.limits().stream, this,
                               where)) {
    place_.connection = this;
    server.connections_.append(place_);
  }
  ~Connection() override {
    clear();  // before stream_, to which the task may have a reference
    place_.unlink();
    if (state_ != nullptr) state_->forget_watcher();  // also ends a stream that never opened
  }

  void announce(const ProxiedAddresses& addresses) {
    state_->stream.announce(addresses.source, addresses.destination);
  }
  void set_transport(std::unique_ptr<Transport> transport) {
    state_->set_transport(std::move(transport));
  }
  // Starts the connection. *this may be gone afterwards.
  void start() { state_->start(true); }
  [[nodiscard]] static Connection& at(ListLink& link) noexcept {
    return *static_cast<Place&>(link).connection;
  }
  void drain_soon() noexcept { state_->drain(); }
  void ask_to_end() {
    if (state_ != nullptr) Server::ask_to_end(state_->stream);
  }

 private:
  struct Place : ListLink {
    Connection* connection = nullptr;
  };

  void on_stream_open(StreamState& state) override {
    over_ = false;
    stream_ = Stream(state);
    Task<void> task;
    try {
      task = server_.handler_(stream_);
    } catch (...) {
      on_end();
      throw;
    }
    run(std::move(task));
  }

  void on_stream_gone() noexcept override {
    state_ = nullptr;
    if (over_) end();
  }

  [[nodiscard]] std::exception_ptr failure() noexcept override {
    std::exception_ptr error = Root::failure();
    if (!error) return error;
    try {
      std::rethrow_exception(error);
    } catch (const std::system_error& what) {
      REACTOR_LOG(debug, std::string("a connection's coroutine ended: ") + what.what());
      return nullptr;
    } catch (...) {
      return error;
    }
  }

  void on_end() noexcept override {
    const Task<void> last_to_go = take_task();
    stream_ = {};
    over_ = true;
    if (state_ == nullptr) end();
  }

  void end() noexcept {
    Server& server = server_;
    delete this;
    server.count_down();
  }

  Server& server_;
  StreamState* state_;  // null when the stream is gone
  Stream stream_;       // from the opening until the coroutine takes it, or ends
  bool over_ = true;    // no coroutine runs: it has not begun, or has ended
  Place place_;
};

Server::Server(LoopHere here, ServerLimits limits, Handler handler)
    : ServerBase(here.loop, std::move(limits), here.where),
      handler_(std::move(handler)),
      tasks_(here.loop) {}

Server::~Server() { tasks_.cancel(); }

Result<std::unique_ptr<Server>> Server::listen(LoopHere here, std::span<const Address> addresses,
                                               ServerLimits limits, Handler handler) {
  std::unique_ptr<Server> server(new Server(here, std::move(limits), std::move(handler)));
  if (const std::error_code error = server->listen_at(addresses)) return error;
  return server;
}

Result<std::unique_ptr<Server>> Server::adopt(LoopHere here, std::vector<Socket> sockets,
                                              ServerLimits limits, Handler handler) {
  std::unique_ptr<Server> server(new Server(here, std::move(limits), std::move(handler)));
  if (const std::error_code error = server->adopt_sockets(std::move(sockets))) return error;
  return server;
}

// A connection that another process handed over may come with its handler's state. A coroutine
// can't use that state, so the state is ignored.
void Server::start_connection(Socket socket, SourceLocation where, const Origin& origin) {
  const Lifetime::Watch server(lifetime());
  std::unique_ptr<Connection> connection;
  try {
    // A connection with a state had no transport in its old process, so it gets none here.
    const bool plain = limits().transports == nullptr || origin.state != nullptr;
    std::unique_ptr<Transport> transport = plain ? nullptr : limits().transports->make_transport();
    if (server.over()) return;
    connection = std::make_unique<Connection>(*this, std::move(socket), where);
    if (origin.addresses != nullptr) connection->announce(*origin.addresses);
    if (transport != nullptr) connection->set_transport(std::move(transport));
  } catch (...) {
    connection.reset();
    if (!server.over()) count_down();
    throw;
  }
  // If a connection had to wait for its PROXY header, drain() may have been called before this
  // start.
  if (finishing()) connection->drain_soon();
  connection.release()->start();
}

// Asks each connection to end. ask_to_end() may destroy any connection, or throw. So a connection
// moves to `asked` before it is asked, and ~Asked() moves all of them back.
void Server::shut_connections_down() {
  struct Asked {
    IntrusiveList& connections;
    IntrusiveList list;
    ~Asked() { connections.splice(list); }
  } asked{connections_, {}};
  while (ListLink* link = connections_.first()) {
    link->unlink();
    asked.list.append(*link);
    Connection::at(*link).ask_to_end();
  }
}

bool Server::offer_connections() {
  shut_connections_down();
  return true;
}

}  // namespace reactor::coro
