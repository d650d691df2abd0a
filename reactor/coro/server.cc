// SPDX-License-Identifier: MIT
#include "reactor/coro/server.h"

#include <string>

#include "reactor/base/log.h"

namespace reactor::coro {

// A Connection lives until its task is done and its stream is gone.
class Server::Connection final : public Root, private StreamWatcher {
 public:
  Connection(Server& server, NewConnection& from)
      : Root(server.tasks_),
        server_(server),
        state_(new StreamState(from.loop, std::move(from.socket), from.options, this, from.where)) {
    place_.connection = this;
    server.connections_.append(place_);
  }
  ~Connection() override {
    clear();  // before stream_, to which the task may have a reference
    place_.unlink();
    if (state_ != nullptr) state_->forget_watcher();  // also ends a stream that never opened
  }

  void furnish(NewConnection& from) {
    const ProxiedAddresses* const addresses = from.origin.addresses;
    if (addresses != nullptr) state_->stream.announce(addresses->source, addresses->destination);
    state_->set_transport(std::move(from.transport));
  }
  [[nodiscard]] reactor::Stream& stream() noexcept { return state_->stream; }
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
    : ServerBase(here.loop, std::move(limits), here.where, *this),
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

reactor::Stream* Server::make(NewConnection& from) {
  auto connection = std::make_unique<Connection>(*this, from);
  connection->furnish(from);
  // If a connection had to wait for its PROXY header, drain() may have been called before this
  // start.
  if (finishing()) connection->drain_soon();
  from.origin.state = nullptr;  // of a handler in another process: a coroutine can't use it
  return &connection.release()->stream();
}

// Asks each connection to end. ask_to_end() may destroy any connection, or throw. So a connection
// moves to `asked` before it is asked, and ~Asked() moves all of them back.
void Server::ask_all_to_end() {
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

}  // namespace reactor::coro
