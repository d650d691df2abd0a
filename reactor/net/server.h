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

#include "reactor/base/callback_slot.h"
#include "reactor/base/lifetime.h"
#include "reactor/net/listener.h"
#include "reactor/net/proxy.h"
#include "reactor/net/service.h"
#include "reactor/net/slab.h"
#include "reactor/net/stream.h"
#include "reactor/net/transport.h"

namespace reactor {

class NetContext;
class ProxyGate;

struct ServerLimits {
  // Connections at once; at the limit accepting pauses and the kernel's queue fills. 0: as many as
  // the process may open descriptors, less a reserve of 64. A connection that was closed while its
  // peer may still send (Stream::close(), StreamOptions::linger) takes such a place until it
  // is gone, and keeps nobody out: if a new connection needs the place, the one that has lingered
  // longest is reset.
  std::size_t max_connections = 0;
  StreamOptions stream = {};
  ListenOptions listen = {};  // for Server::listen(); adopted sockets are set up already
  // The header that connections have to begin with. One that waits for it counts as a connection,
  // but has no Stream and no C yet: they are made once it is here, and know the client by it.
  ProxyOptions proxy = {};
  // With `transports`: handshakes that wait for their turn on this loop (Transport::
  // open_is_costly()), above which no more connections are accepted: the kernel's queue holds them.
  // A client that connects and says nothing does not count. 0 stands for 1.
  std::size_t max_waiting_handshakes = 64;
  // How octets are moved where not plainly: TLS. It outlives the server. Such connections stay in
  // their process: hand_over() asks them to finish.
  TransportFactory* transports = nullptr;
};

// What Server<C> is but for C: listeners, limits, drain. Use Server<C>.
class ServerBase : public Service, private AcceptHandler, protected StreamOwner {
 public:
  ServerBase(const ServerBase&) = delete;
  ServerBase& operator=(const ServerBase&) = delete;

  // Closes down without cutting anybody off: lets no new connection in (Socket::refuse_new()),
  // accepts those that are in the door, for up to 1.2 s where TCP_DEFER_ACCEPT is on, closes the
  // listeners, asks each connection by on_shutdown() to finish, and calls `done` from the loop when
  // the last is gone. Called again it only replaces `done`.
  void drain(Callback<void()> done = {}) override;

  // See Service.
  void hand_over(Successor& successor, Callback<void()> done) override;
  void retry_hand_over() override;
  Result<> take_over(Socket connection, std::span<const std::byte> state) override;
  void share_listeners() override;
  Result<> borrow(int listening_fd) override;
  void give_back(int listening_fd) noexcept override;
  void set_placement(Callback<bool(const Socket&)> keep) override { keep_ = std::move(keep); }
  void set_counter(Counter& connections) noexcept override;
  void set_on_room(Callback<void()> room) override;
  void set_limit(std::uint64_t connections, Callback<void()> reached) override;

  [[nodiscard]] std::size_t connections() const noexcept override { return connections_; }
  [[nodiscard]] std::size_t most_connections() const noexcept override {
    return limits_.max_connections;
  }
  // Connections accepted since the start.
  [[nodiscard]] std::uint64_t accepted() const noexcept override { return accepted_; }
  // What became of connections at ServerLimits::proxy; zeros where it is off.
  [[nodiscard]] ProxyStats proxy_stats() const noexcept;
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
  // Ends all but the connections.
  void end_base() noexcept;
  // For code that calls handlers, which may destroy the server.
  [[nodiscard]] Lifetime& lifetime() noexcept { return lifetime_; }

  // The doors are closed, and nobody else takes connections over.
  [[nodiscard]] bool finishing() const noexcept {
    return draining_ && successor_ == nullptr && listeners_.empty();
  }

  // Who handles a connection that comes from another process; travels before its state.
  enum class Handled : std::uint8_t { by_server, otherwise };  // otherwise: it was upgraded
  struct Origin {
    const ProxiedAddresses* addresses = nullptr;  // what a proxy says of it; null where nothing
    const std::span<const std::byte>* state = nullptr;  // null where it was accepted here
    Handled handled = Handled::by_server;
  };

  virtual void start_connection(Socket socket, SourceLocation where, const Origin& origin) = 0;
  // Calls ask_to_end() for each connection. Handlers may throw, or destroy the server, which ends
  // it.
  virtual void shut_connections_down() = 0;
  // Calls offer() for each connection, until it gives false, and gives what it gave. Likewise.
  virtual bool offer_connections() = 0;
  // To the successor. False: it is busy.
  [[nodiscard]] bool offer(Stream& stream, Handled handled);
  // Once: some finish by and by.
  static void ask_to_end(Stream& stream) {
    if (!stream.closing() && !stream.asked_to_end()) stream.request_shutdown();
  }
  // Whether upgraded connections can come from another process.
  [[nodiscard]] virtual bool adopts_upgraded() const noexcept = 0;

 private:
  struct Loan {
    int listening_fd;
    std::unique_ptr<Listener> listener;
  };

  void on_accept(Listener& listener, Socket connection) final;
  [[nodiscard]] bool takes_more() const noexcept final;
  void admit(Socket connection, SourceLocation where);
  void count_up() noexcept;
  void look_again();
  void begin_end(Callback<void()> done);
  void note_end() noexcept;
  void ask_all_to_end();
  void close_listeners();
  void leave_listeners();
  void pause_all() noexcept;
  void share(Listener& listener);
  void accept_all(Listener& listener);
  void offer_all();
  void go_on_ending();
  void on_stream_idle(Stream& stream) noexcept final;

  Loop& loop_;
  NetContext* context_;
  ServerLimits limits_;
  SourceLocation where_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<ProxyGate> gate_;  // where there is a PROXY protocol
  std::vector<Loan> loans_;
  Lifetime lifetime_;
  CallbackSlot<bool(const Socket&)> keep_;
  Deferred reached_;
  Deferred room_;
  Counter own_counter_;
  Counter* counter_ = &own_counter_;
  Deferred asking_;  // to end: those that an exception left out
  Deferred drained_;
  Callback<void()> done_;
  Timer second_look_;               // at listeners that several processes poll
  Timer doors_;                     // draining: the end of accepting; handing over: the next offer
  Successor* successor_ = nullptr;  // while handing over
  Duration next_offer_{};
  TimePoint patience_{};
  std::size_t connections_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t left_ = 0;  // to be accepted before reached_ is called; 0: not counted
  bool full_ = false;
  bool draining_ = false;
  bool adopted_ = false;
  bool shared_ = false;  // see share_listeners()
};

// What a C is made from: nothing, or its `Context`, which outlives the server. The constructor of C
// may throw. It must not destroy the server. A Context that holds the Server<C> itself names
// ServerBase, or is only declared in C and defined behind it.
template <class C>
concept HasContext = requires {
  typename C::Context;
};

template <class C>
concept ConnectionHandler = std::derived_from<C, StreamHandler> &&
    (HasContext<C> || std::default_initializable<C>);

// A C that can tell who goes on with a connection of another process's C that had another handler
// by then, as after an HTTP upgrade: its on_adopt() is called. Null: nobody.
template <class C>
concept AdoptsUpgraded = requires(C& c) {
  { c.adopting_handler() } -> std::same_as<StreamHandler*>;
};

// A loop, and the line that gave it to a server: dumps of the loop, and log lines about a slow or
// stuck callback of a connection, name it. Any Loop& becomes one.
struct LoopHere {
  // NOLINTNEXTLINE(google-explicit-constructor): meant to be made by the way
  LoopHere(Loop& given, SourceLocation line = SourceLocation::current()) noexcept
      : loop(given), where(line) {}

  Loop& loop;
  SourceLocation where;
};

// Belongs to its loop's thread. Destroying it closes everything at once, without callbacks.
// Callbacks may do that, those of its connections too: nothing of C may be used behind it then.
template <ConnectionHandler C>
class Server final : public ServerBase {
 public:
  // Binds, listens and accepts. Takes one address or several, and a `C::Context&` at the end where
  // C has one. Errors: those of Listener::listen(); what was bound before the error is closed
  // again.
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(LoopHere here,
                                                              std::span<const Address> addresses,
                                                              ServerLimits limits,
                                                              Context&... context) {
    std::unique_ptr<Server> server(new Server(here, std::move(limits), context...));
    if (const std::error_code error = server->listen_at(addresses)) return error;
    return server;
  }
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(LoopHere here, const Address& address,
                                                              ServerLimits limits,
                                                              Context&... context) {
    return listen(here, std::span<const Address>(&address, 1), std::move(limits), context...);
  }
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(LoopHere here,
                                                              const Address& address) {
    return listen(here, address, ServerLimits{});
  }

  // Takes sockets that listen already: a prefork worker's, a service manager's.
  // Errors: those of Listener::adopt().
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> adopt(LoopHere here,
                                                             std::vector<Socket> sockets,
                                                             ServerLimits limits,
                                                             Context&... context) {
    std::unique_ptr<Server> server(new Server(here, std::move(limits), context...));
    if (const std::error_code error = server->adopt_sockets(std::move(sockets))) return error;
    return server;
  }

  ~Server() {
    slab_.for_each([this](Connection& connection) {
      destroy(connection);
      return true;
    });
  }

  // For an owner whose destructor runs inside a callback of a connection, where C has to outlive
  // the callback: ends everything without callbacks like the destructor, and gives true. Then
  // destroy *this later. False, and nothing is done, outside such callbacks.
  [[nodiscard]] bool end_in_callback() noexcept {
    bool inside = false;
    slab_.for_each([&](Connection& connection) {
      inside = connection.stream.in_callback();
      return !inside;
    });
    if (!inside) return false;
    end_base();
    slab_.for_each([](Connection& connection) {
      connection.stream.end();
      return true;
    });
    return true;
  }

  // Calls `visit(Stream&, C&)` for each connection. It may close them, and destroy the server.
  template <class Visit>
  void for_each(Visit&& visit) {
    const Lifetime::Watch server(lifetime());
    slab_.for_each([&](Connection& connection) {
      visit(connection.stream, connection.handler);
      return !server.over();
    });
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

  Server(LoopHere here, ServerLimits limits) requires(!HasContext<C>)
      : ServerBase(here.loop, std::move(limits), here.where) {}
  Server(LoopHere here, ServerLimits limits, Context& context) requires HasContext<C>
      : ServerBase(here.loop, std::move(limits), here.where), context_(&context) {}

  void start_connection(Socket socket, SourceLocation where, const Origin& origin) override {
    Connection* const connection = make_connection(std::move(socket), where, origin);
    if (connection == nullptr) return;
    const std::uint32_t index = connection->index;
    const Lifetime::Watch server(lifetime());
    if (origin.state == nullptr) {
      connection->stream.start(true);
    } else {
      connection->stream.start_adopted(*origin.state);
    }
    if (server.over()) return;
    // Only one that waited for its header comes this late.
    if (finishing() && slab_.in_use(index)) ask_to_end(connection->stream);
  }

  // Returns null if no handler continues the connection, or if the user's code destroyed the
  // server. Throws what C and the TransportFactory throw.
  Connection* make_connection(Socket socket, SourceLocation where, const Origin& origin) {
    const Lifetime::Watch server(lifetime());
    Connection* connection = nullptr;
    try {
      std::unique_ptr<Transport> transport = make_transport(origin);
      if (server.over()) return nullptr;
      connection = construct(std::move(socket), where);
      Stream& stream = connection->stream;
      if (transport != nullptr) stream.set_transport(std::move(transport));
      if (origin.addresses != nullptr) {
        stream.announce(origin.addresses->source, origin.addresses->destination);
      }
      if (choose_handler(*connection, origin)) return connection;
    } catch (...) {
      if (!server.over()) discard(connection);
      throw;
    }
    if (!server.over()) discard(connection);
    return nullptr;
  }

  // Null for plain bytes. A connection that comes with a state was served plainly elsewhere.
  [[nodiscard]] std::unique_ptr<Transport> make_transport(const Origin& origin) {
    const bool plain = limits().transports == nullptr || origin.state != nullptr;
    return plain ? nullptr : limits().transports->make_transport();
  }

  Connection* construct(Socket socket, SourceLocation where) {
    const std::uint32_t index = slab_.allocate();
    try {
      return ::new (slab_.memory(index)) Connection(*this, index, std::move(socket), where);
    } catch (...) {
      slab_.deallocate(index);
      throw;
    }
  }

  // False if no handler continues the connection, or if the user's code destroyed the server.
  [[nodiscard]] bool choose_handler(Connection& connection, const Origin& origin) {
    if constexpr (AdoptsUpgraded<C>) {
      if (origin.handled == Handled::otherwise) {
        const Lifetime::Watch server(lifetime());
        StreamHandler* const next = connection.handler.adopting_handler();
        if (server.over() || next == nullptr) return false;
        connection.stream.set_handler(*next);
      }
    }
    return true;
  }

  // What make_connection() made, if anything.
  void discard(Connection* connection) noexcept {
    if (connection != nullptr) destroy(*connection);
    count_down();
  }

  void on_stream_closed(Stream& stream) noexcept override {
    destroy(reinterpret_cast<Connection&>(stream));
    count_down();
  }

  void shut_connections_down() override {
    const Lifetime::Watch server(lifetime());
    slab_.for_each([&](Connection& connection) {
      ask_to_end(connection.stream);
      return !server.over();
    });
  }

  bool offer_connections() override {
    const Lifetime::Watch server(lifetime());
    bool room = true;
    slab_.for_each([&](Connection& connection) {
      const bool own = &connection.stream.handler() == &connection.handler;
      room = offer(connection.stream, own ? Handled::by_server : Handled::otherwise);
      return room && !server.over();
    });
    return room;
  }

  bool adopts_upgraded() const noexcept override { return AdoptsUpgraded<C>; }

  void destroy(Connection& connection) noexcept {
    const std::uint32_t index = connection.index;
    std::destroy_at(&connection);
    slab_.deallocate(index);
  }

  Context* context_ = nullptr;
  Slab<Connection> slab_;
};

}  // namespace reactor
