// SPDX-License-Identifier: MIT
// Server<C> accepts connections and owns them. Each has one C (a StreamHandler) and one Stream,
// side by side in a slab. The C is made when its connection is accepted and destroyed after
// on_close().
//
//   class Echo final : public reactor::StreamHandler {
//     void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
//       stream.write(bytes);
//     }
//   };
//   auto server = reactor::Server<Echo>::listen(loop, address).value();
//   loop.run().value();
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "reactor/base/held_callback.h"
#include "reactor/base/lifetime.h"
#include "reactor/net/connection_set.h"
#include "reactor/net/hand_over.h"
#include "reactor/net/listener.h"
#include "reactor/net/proxy.h"
#include "reactor/net/service.h"
#include "reactor/net/stream/stream.h"
#include "reactor/net/transport.h"

namespace reactor {

class NetContext;
class ProxyGate;

struct ServerLimits {
  // The most connections at the same time. At the limit, accepting pauses, and further connections
  // wait in the kernel's queue. 0: the process's limit of descriptors, less a reserve of 64. A
  // closed connection that lingers (see Stream::close()) counts too, but keeps no new connection
  // out: if a new connection needs the room, the one that has lingered longest is reset.
  std::size_t max_connections = 0;
  StreamOptions stream = {};
  ListenOptions listen = {};  // for Server::listen(); adopted sockets have theirs already
  // The PROXY header that connections have to begin with. A connection that waits for its header
  // counts towards the limit, but its Stream and C are made only when the header has arrived.
  ProxyOptions proxy = {};
  // The most handshakes that wait to be run by this loop, if `transports` is set
  // (Transport::open_is_costly()). Above that, further connections wait in the kernel's queue. A
  // client that connects and sends nothing does not count. 0 counts as 1.
  std::size_t max_waiting_handshakes = 64;
  // Makes a transport, such as TLS, for each connection; null: plain bytes. Must outlive the
  // server. hand_over() can't move connections with a transport, and asks them to finish.
  TransportFactory* transports = nullptr;
};

// ServerBase is a server without its connections, which are in a ConnectionSet. Programs use
// Server<C>. A server ends in one of two ways:
//
//   drain():     accepts connections whose handshake has begun, and asks all to finish
//   hand_over(): offers idle connections to another process, and after 2 s asks the others to
//                finish; a later drain() ends the offers
class ServerBase : public Service, private AcceptHandler, private StreamOwner {
 public:
  ServerBase(const ServerBase&) = delete;
  ServerBase& operator=(const ServerBase&) = delete;

  // Closes down without cutting off any connection. Refuses new connections (Socket::refuse_new()),
  // and asks each open connection by on_shutdown() to finish. Still accepts connections whose
  // handshake has begun: for 0.25 s plus the time of TCP_DEFER_ACCEPT. Then closes the listeners.
  // Calls `done` from the loop when the last connection is gone. Calling drain() again only
  // replaces `done`.
  void drain(Callback<void()> done = {}) override;

  // These are the other functions of Service.
  void hand_over(HandOverTarget& target, Callback<void()> done) override;
  void offer_again() override;
  Result<> adopt_connection(Socket connection, std::span<const std::byte> message) override;
  void share_listeners() override;
  Result<> borrow(int listening_fd) override;
  void give_back(int listening_fd) noexcept override;
  void set_placement(Callback<bool(const Socket&)> keep) override { keep_ = std::move(keep); }
  void set_counter(Counter& connections) noexcept override;
  void set_on_room(Callback<void()> room) override;
  void set_limit(std::uint64_t connections, Callback<void()> reached) override;

  [[nodiscard]] std::size_t connections() const noexcept override { return count_; }
  [[nodiscard]] std::size_t most_connections() const noexcept override {
    return limits_.max_connections;
  }
  // Returns how many connections were accepted since the start.
  [[nodiscard]] std::uint64_t accepted() const noexcept override { return accepted_; }
  // Returns the counts of connections that needed a PROXY header; zeros without
  // ServerLimits::proxy.
  [[nodiscard]] ProxyStats proxy_stats() const noexcept;
  // Returns the addresses of its listeners; none once it drains or hands over.
  [[nodiscard]] std::vector<Address> addresses() const;
  [[nodiscard]] Loop& loop() const noexcept { return loop_; }
  [[nodiscard]] const ServerLimits& limits() const noexcept { return limits_; }

 protected:
  // `connections` is used neither here nor in the destructor, so it may be a member of the derived
  // class.
  ServerBase(Loop& loop, ServerLimits limits, SourceLocation where, ConnectionSet& connections);
  ~ServerBase();

  [[nodiscard]] std::error_code listen_at(std::span<const Address> addresses);
  [[nodiscard]] std::error_code adopt_sockets(std::vector<Socket> sockets);
  // Counts a connection that is gone. That makes room for another one, or ends the drain.
  // ServerBase itself counts those whose Stream it owns, and those that could not be made.
  void count_down() noexcept;
  // Returns whether the connections that are left must finish here, because there is no listener
  // and no hand-over target.
  [[nodiscard]] bool finishing() const noexcept {
    return draining_ && target_ == nullptr && listeners_.empty();
  }

 private:
  struct Loan {
    int listening_fd;
    std::unique_ptr<Listener> listener;
  };

  void on_accept(Listener& listener, Socket connection) final;
  [[nodiscard]] bool takes_more() const noexcept final;
  void admit(Socket connection, SourceLocation where);
  void start_connection(Socket socket, SourceLocation where, const NewConnection::Origin& origin);
  [[nodiscard]] Stream* make_stream(NewConnection& from);
  void count_up() noexcept;
  void look_again();
  void begin_end(Callback<void()> done) noexcept;
  void on_doors();
  void note_end() noexcept;
  void ask_all_to_end();
  void close_listeners();
  [[nodiscard]] Listener* next_to_close() const noexcept;
  void leave_listeners();
  void pause_all() noexcept;
  void let_in_again(const Listener& listener) const noexcept;
  void offer_all();
  void on_stream_idle(Stream& stream) noexcept final;
  void on_stream_closed(Stream& stream) noexcept final;

  Loop& loop_;
  ConnectionSet& connections_;
  NetContext* context_;
  ServerLimits limits_;
  SourceLocation where_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<ProxyGate> gate_;  // null: no PROXY protocol
  std::vector<Loan> loans_;
  Lifetime lifetime_;
  HeldCallback<bool(const Socket&)> keep_;
  Deferred reached_;
  Deferred room_;
  Counter own_counter_;
  Counter* counter_ = &own_counter_;
  Deferred asking_;  // calls ask_all_to_end() again, after an exception or inside a callback
  Deferred drained_;
  Timer doors_;  // see on_doors()
  Callback<void()> done_;
  Timer second_look_;                 // accepts from listeners that several processes poll
  HandOverTarget* target_ = nullptr;  // while handing over
  Duration next_offer_{};
  TimePoint patience_{};
  std::size_t count_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t left_ = 0;  // connections to accept before reached_ is called; 0: not counted
  std::optional<std::uint32_t> refused_in_;  // the process whose drain() refuses new connections
  bool full_ = false;
  bool draining_ = false;
  bool adopted_ = false;
  bool shared_ = false;  // see share_listeners()
};

// LoopHere is a loop and the source line that gave it to a server. Dumps of the loop, and log lines
// about slow or endless callbacks of connections, name the line. Any Loop& converts to a LoopHere.
struct LoopHere {
  // NOLINTNEXTLINE(google-explicit-constructor): implicit, so that a Loop& is enough
  LoopHere(Loop& given, SourceLocation line = SourceLocation::current()) noexcept
      : loop(given), where(line) {}

  Loop& loop;
  SourceLocation where;
};

// Server belongs to its loop's thread. Destroying it closes everything at once, without callbacks.
// Callbacks may destroy it. If a callback of a connection does that, it must not use its C
// afterwards.
template <ConnectionHandler C>
class Server final : public ServerBase {
 public:
  // Binds, listens and accepts. Takes one address or several, and at the end a `C::Context&` if C
  // has one. Errors: those of Listener::listen(), after which no address stays bound.
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

  // Takes sockets that already listen (from a prefork master or a service manager). Unless they are
  // shared (share_listeners()), the first turn calls Socket::accept_new() for them, in case an
  // earlier server was killed during its drain. Errors: those of Listener::adopt().
  template <class... Context>
  [[nodiscard]] static Result<std::unique_ptr<Server>> adopt(LoopHere here,
                                                             std::vector<Socket> sockets,
                                                             ServerLimits limits,
                                                             Context&... context) {
    std::unique_ptr<Server> server(new Server(here, std::move(limits), context...));
    if (const std::error_code error = server->adopt_sockets(std::move(sockets))) return error;
    return server;
  }

  // Calls `visit(Stream&, C&)` for each connection. `visit` may close connections and destroy the
  // server.
  template <class Visit>
  void for_each(Visit&& visit) {
    connections_.for_each([&](Stream& stream, C& handler) {
      visit(stream, handler);
      return true;
    });
  }

 private:
  template <class... Context>
  Server(LoopHere here, ServerLimits limits, Context&... context)
      : ServerBase(here.loop, std::move(limits), here.where, connections_),
        connections_(context...) {}

  Connections<C> connections_;
};

}  // namespace reactor
