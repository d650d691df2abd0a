// SPDX-License-Identifier: MIT
// Server<C>: accepts connections and owns them: one C (a StreamHandler) and one Stream for each,
// side by side in one slab. C is made when its connection is accepted and destroyed after on_close.
//
//   class Echo final : public reactor::StreamHandler {
//     void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
//       stream.write(bytes);
//     }
//   };
//   auto server = reactor::Server<Echo>::listen(loop, address).value();
//   loop.run().value();
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "reactor/net/listener.h"
#include "reactor/net/slab.h"
#include "reactor/net/stream.h"

namespace reactor {

struct ServerLimits {
  // Connections at once; at the limit accepting pauses and the kernel's queue fills. 0: as many as
  // the process may open descriptors, less a reserve of 64.
  std::size_t max_connections = 0;
  StreamOptions stream = {};
  ListenOptions listen = {};  // for Server::listen(); adopted sockets are set up already
};

// What Server<C> is but for C: listeners, limits, drain. Use Server<C>.
class ServerBase : private AcceptHandler, protected StreamOwner {
 public:
  ServerBase(const ServerBase&) = delete;
  ServerBase& operator=(const ServerBase&) = delete;

  // Closes down without cutting anybody off: accepts what waits in the queues, closes the
  // listeners, asks each connection by on_shutdown() to finish, and calls `done` from the loop when
  // the last is gone. Called again it only replaces `done`.
  void drain(Callback<void()> done = {});

  [[nodiscard]] std::size_t connections() const noexcept { return connections_; }
  // Connections accepted since the start.
  [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_; }
  // Where it listens; empty once it drains.
  [[nodiscard]] std::vector<Address> addresses() const;
  [[nodiscard]] Loop& loop() const noexcept { return loop_; }
  [[nodiscard]] const ServerLimits& limits() const noexcept { return limits_; }

 protected:
  ServerBase(Loop& loop, ServerLimits limits, SourceLocation where);
  ~ServerBase();

  [[nodiscard]] std::error_code listen_at(std::span<const Address> addresses);
  [[nodiscard]] std::error_code adopt_sockets(std::vector<Socket> sockets);
  // A connection is gone: room for another one, or the end of the drain.
  void count_down() noexcept;

  virtual void start_connection(Socket socket, SourceLocation where) = 0;
  virtual void shut_connections_down() = 0;

 private:
  void on_accept(Listener& listener, Socket connection) final;
  void empty_queue(Listener& listener);

  Loop& loop_;
  ServerLimits limits_;
  SourceLocation where_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Deferred drained_;
  Callback<void()> done_;
  std::size_t connections_ = 0;
  std::uint64_t accepted_ = 0;
  bool full_ = false;
  bool draining_ = false;
};

// What a C is made from: nothing, or its `Context`, which outlives the server.
template <class C>
concept HasContext = requires {
  typename C::Context;
};

template <class C>
concept ConnectionHandler = std::derived_from<C, StreamHandler> &&
    (HasContext<C> || std::default_initializable<C>);

// Belongs to its loop's thread. Destroying it closes everything at once, without callbacks; not
// from a callback of one of its connections.
template <ConnectionHandler C>
class Server final : public ServerBase {
 public:
  // Binds, listens and accepts. Takes one address or several, and a `C::Context&` at the end where
  // C has one. Errors: those of Listener::listen(); what was bound before the error is closed
  // again.
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(Loop& loop,
                                                              std::span<const Address> addresses,
                                                              ServerLimits limits,
                                                              Context&... context) {
    std::unique_ptr<Server> server(new Server(loop, std::move(limits), context...));
    if (const std::error_code error = server->listen_at(addresses)) return error;
    return server;
  }
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(Loop& loop, const Address& address,
                                                              ServerLimits limits,
                                                              Context&... context) {
    return listen(loop, std::span<const Address>(&address, 1), std::move(limits), context...);
  }
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(Loop& loop, const Address& address) {
    return listen(loop, address, ServerLimits{});
  }

  // Takes sockets that listen already: a prefork worker's, a service manager's.
  // Errors: those of Listener::adopt().
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> adopt(Loop& loop,
                                                             std::vector<Socket> sockets,
                                                             ServerLimits limits,
                                                             Context&... context) {
    std::unique_ptr<Server> server(new Server(loop, std::move(limits), context...));
    if (const std::error_code error = server->adopt_sockets(std::move(sockets))) return error;
    return server;
  }

  ~Server() {
    slab_.for_each([this](Connection& connection) { destroy(connection); });
  }

  // Calls `visit(Stream&, C&)` for each connection. It may close them, not destroy the server.
  template <class Visit>
  void for_each(Visit&& visit) {
    slab_.for_each([&](Connection& connection) { visit(connection.stream, connection.handler); });
  }

 private:
  struct NoContext {};
  template <class T>
  struct ContextOf {
    using type = NoContext;
  };
  template <HasContext T>
  struct ContextOf<T> {
    using type = typename T::Context;
  };
  using Context = typename ContextOf<C>::type;

  // The Stream comes first: a Stream of this server is a Connection's.
  struct Connection {
    Connection(Server& server, std::uint32_t place, Socket socket,
               SourceLocation where) requires HasContext<C>
        : stream(server.loop(), std::move(socket), handler, server.limits().stream, &server, where),
          handler(*server.context_),
          index(place) {}
    Connection(Server& server, std::uint32_t place, Socket socket,
               SourceLocation where) requires(!HasContext<C>)
        : stream(server.loop(), std::move(socket), handler, server.limits().stream, &server, where),
          index(place) {}

    Stream stream;
    C handler;
    std::uint32_t index;
  };

  explicit Server(Loop& loop, ServerLimits limits,
                  SourceLocation where = SourceLocation::current()) requires(!HasContext<C>)
      : ServerBase(loop, std::move(limits), where) {}
  Server(Loop& loop, ServerLimits limits, Context& context,
         SourceLocation where = SourceLocation::current()) requires HasContext<C>
      : ServerBase(loop, std::move(limits), where), context_(&context) {}

  void start_connection(Socket socket, SourceLocation where) override {
    const std::uint32_t index = slab_.allocate();
    Connection* connection = nullptr;
    try {
      connection = ::new (slab_.memory(index)) Connection(*this, index, std::move(socket), where);
    } catch (...) {
      slab_.deallocate(index);
      count_down();
      throw;
    }
    connection->stream.start(true);
  }

  void on_stream_closed(Stream& stream) noexcept override {
    destroy(reinterpret_cast<Connection&>(stream));
    count_down();
  }

  void shut_connections_down() override {
    slab_.for_each([](Connection& connection) {
      if (!connection.stream.closing()) connection.stream.request_shutdown();
    });
  }

  void destroy(Connection& connection) noexcept {
    const std::uint32_t index = connection.index;
    std::destroy_at(&connection);
    slab_.deallocate(index);
  }

  Context* context_ = nullptr;
  Slab<Connection> slab_;
};

}  // namespace reactor
