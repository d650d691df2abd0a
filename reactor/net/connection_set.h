// SPDX-License-Identifier: MIT
// ConnectionSet owns the connections of one server. It is all that a ServerBase knows of them.
// Connections<C> is the ConnectionSet of a Server<C>: each connection has a C (a StreamHandler).
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "reactor/base/lifetime.h"
#include "reactor/base/source_location.h"
#include "reactor/net/hand_over.h"
#include "reactor/net/proxy.h"
#include "reactor/net/slab.h"
#include "reactor/net/socket.h"
#include "reactor/net/stream/stream.h"
#include "reactor/net/transport.h"

namespace reactor {

// NewConnection has everything that a ConnectionSet needs to make one connection.
struct NewConnection {
  struct Origin {
    const ProxiedAddresses* addresses = nullptr;        // from a proxy; null: none
    const std::span<const std::byte>* state = nullptr;  // null: it was accepted here
    HandledBy handled_by = HandledBy::server;
  };

  Loop& loop;
  const StreamOptions& options;
  StreamOwner& owner;
  Socket socket;
  SourceLocation where;
  std::unique_ptr<Transport> transport;  // null: plain bytes
  Origin origin;
};

// Functions that are not noexcept may call handlers, which may throw and may destroy the server.
class ConnectionSet {
 public:
  ConnectionSet(const ConnectionSet&) = delete;
  ConnectionSet& operator=(const ConnectionSet&) = delete;

  // Makes a connection and returns its Stream, which the server then starts. A set that has no use
  // for from.origin.state clears it, and the Stream starts like that of an accepted connection.
  // Returns null if there is nothing to start: the set starts the connection later, or has passed
  // it to owner.on_stream_closed(), or the server was destroyed. If this throws, there is no
  // connection, and the server counts it down.
  virtual Stream* make(NewConnection& from) = 0;
  // Destroys a connection that has ended. Called only for Streams whose owner is the server.
  virtual void destroy(Stream& stream) noexcept = 0;

  // Calls ask_to_end() for each connection. If a handler throws or destroys the server, the others
  // are not asked.
  virtual void ask_all_to_end() = 0;
  // Calls offer() for each connection until it returns false, and returns the last result. By
  // default, no connection can move, so all are asked to end.
  virtual bool offer_all(HandOverTarget& target);
  // Returns whether the set can continue upgraded connections of another process.
  [[nodiscard]] virtual bool adopts_upgraded() const noexcept { return false; }

 protected:
  ConnectionSet() = default;
  ~ConnectionSet() = default;

  // Asks the Stream to end, but only once, because the handler may take its time.
  static void ask_to_end(Stream& stream) {
    if (!stream.closing() && !stream.asked_to_end()) stream.request_shutdown();
  }
  // Offers a connection to the target. Returns false if the target is busy.
  [[nodiscard]] bool offer(HandOverTarget& target, Stream& stream, HandledBy handled_by);
};

// The constructor of C takes a `C::Context&` if C has a type Context, otherwise nothing. It may
// throw, but must not destroy the server, and the Context must outlive the server. A Context that
// points to its server declares a ServerBase*, or is defined after C, which must be complete.
template <class C>
concept HasContext = requires {
  typename C::Context;
};

template <class C>
concept ConnectionHandler = std::derived_from<C, StreamHandler> &&
    (HasContext<C> || std::default_initializable<C>);

// AdoptsUpgraded means that a C can continue a connection that was upgraded in another process, for
// example from HTTP. adopting_handler() returns the handler that continues, whose on_adopt() is
// called; null drops the connection.
template <class C>
concept AdoptsUpgraded = requires(C& c) {
  { c.adopting_handler() } -> std::same_as<StreamHandler*>;
};

// Connections<C> keeps each Stream beside its C in a slab. Its destructor destroys all connections,
// without callbacks.
template <ConnectionHandler C>
class Connections final : public ConnectionSet {
 public:
  Connections() requires(!HasContext<C>) = default;
  template <HasContext T = C>
  explicit Connections(typename T::Context& context) : context_(&context) {}

  ~Connections() {
    slab_.for_each([this](Connection& connection) {
      release(connection);
      return true;
    });
  }

  Stream* make(NewConnection& from) override {
    Connection& connection = construct(from);
    if constexpr (AdoptsUpgraded<C>) {
      if (from.origin.handled_by == HandledBy::other) return continue_here(connection, from.owner);
    }
    return &connection.stream;
  }

  void destroy(Stream& stream) noexcept override { release(reinterpret_cast<Connection&>(stream)); }

  void ask_all_to_end() override {
    for_each([](Stream& stream, C&) {
      ask_to_end(stream);
      return true;
    });
  }

  bool offer_all(HandOverTarget& target) override {
    bool room = true;
    for_each([&](Stream& stream, C& handler) {
      const bool own = &stream.handler() == &handler;
      room = offer(target, stream, own ? HandledBy::server : HandledBy::other);
      return room;
    });
    return room;
  }

  [[nodiscard]] bool adopts_upgraded() const noexcept override { return AdoptsUpgraded<C>; }

  // Calls `bool visit(Stream&, C&)` for each connection until it returns false. `visit` may close
  // connections, and may destroy this.
  template <class Visit>
  void for_each(Visit&& visit) {
    const Lifetime::Watch set(lifetime_);
    slab_.for_each([&](Connection& connection) {
      return visit(connection.stream, connection.handler) && !set.over();
    });
  }

  // For an owner that is destroyed inside a connection's callback, while C must outlive that
  // callback. Returns false, and does nothing, if no such callback runs. Otherwise ends all
  // connections without callbacks and returns true; the owner must then destroy this later.
  [[nodiscard]] bool end_in_callback() noexcept {
    bool inside = false;
    slab_.for_each([&](Connection& connection) {
      inside = connection.stream.in_callback();
      return !inside;
    });
    if (!inside) return false;
    lifetime_.end();
    slab_.for_each([](Connection& connection) {
      connection.stream.end();
      return true;
    });
    return true;
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

  // The Stream must be the first member, because destroy() casts it to its Connection.
  struct Connection {
    Connection(NewConnection& from, std::uint32_t place, Context* context) requires HasContext<C>
        : stream(from.loop, std::move(from.socket), handler, from.options, &from.owner, from.where),
          handler(*context),
          index(place) {
      furnish(from);
    }
    Connection(NewConnection& from, std::uint32_t place, Context*) requires(!HasContext<C>)
        : stream(from.loop, std::move(from.socket), handler, from.options, &from.owner, from.where),
          index(place) {
      furnish(from);
    }

    void furnish(NewConnection& from) {
      if (from.transport != nullptr) stream.set_transport(std::move(from.transport));
      const ProxiedAddresses* const addresses = from.origin.addresses;
      if (addresses != nullptr) stream.announce(addresses->source, addresses->destination);
    }

    Stream stream;
    C handler;
    std::uint32_t index;
  };

  Connection& construct(NewConnection& from) {
    const std::uint32_t index = slab_.allocate();
    try {
      return *::new (slab_.memory(index)) Connection(from, index, context_);
    } catch (...) {
      slab_.deallocate(index);
      throw;
    }
  }

  // Sets the handler of an upgraded connection and returns its Stream. Returns null if no handler
  // continues the connection, which then ends here, or if the user's code destroyed this.
  Stream* continue_here(Connection& connection, StreamOwner& owner) requires AdoptsUpgraded<C> {
    const Lifetime::Watch set(lifetime_);
    StreamHandler* next = nullptr;
    try {
      next = connection.handler.adopting_handler();
    } catch (...) {
      if (!set.over()) release(connection);
      throw;
    }
    if (set.over()) return nullptr;
    if (next == nullptr) {
      owner.on_stream_closed(connection.stream);
      return nullptr;
    }
    connection.stream.set_handler(*next);
    return &connection.stream;
  }

  void release(Connection& connection) noexcept {
    const std::uint32_t index = connection.index;
    std::destroy_at(&connection);
    slab_.deallocate(index);
  }

  Context* context_ = nullptr;
  Lifetime lifetime_;
  Slab<Connection> slab_;
};

}  // namespace reactor
