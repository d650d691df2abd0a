// SPDX-License-Identifier: MIT
// serve() runs one coroutine per connection.
//
//   Task<void> greet(coro::Stream stream) {
//     (co_await stream.write("hello\n")).value();
//   }
//   auto server = coro::serve(loop, address, greet).value();
//   loop.run().value();
#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "reactor/coro/spawn.h"
#include "reactor/coro/stream.h"
#include "reactor/coro/task.h"
#include "reactor/net/server.h"

namespace reactor::coro {

// StreamCoroutine is the argument of serve(): a function or callable object that makes the
// coroutine of a connection. Its form is `Task<void> f(Stream stream)` or `Task<void> f(Stream&
// stream)`.
template <class F>
concept StreamCoroutine = requires(F& f, Stream& stream) {
  { f(stream) } -> std::same_as<Task<void>>;
}
|| requires(F& f, Stream& stream) {
  { f(std::move(stream)) } -> std::same_as<Task<void>>;
};

// Server accepts connections and runs a coroutine for each. The coroutine begins when the
// connection is open (over TLS: after the handshake). Like reactor::Server, this Server is a
// ServerBase. So the contracts of ServerLimits and Service hold here, and a prefork::Worker can
// serve() it. A connection counts as open until its coroutine has ended and its output is sent.
// ServerLimits::transports must outlive the Server.
//
// drain() lets the coroutines finish: see Stream::draining(). hand_over() does the same, because a
// coroutine can't move to another process. Neither function has a deadline. To enforce one, destroy
// the server or end the process.
//
// A std::system_error that leaves a coroutine (Result::value() throws it) is taken to have a cause
// outside of the program. So it ends only that coroutine's connection, and is logged at level
// debug. Any other exception leaves Loop::run().
//
// A Server belongs to its loop's thread. Destroying it ends all coroutines, wherever they are
// suspended. It must not be destroyed from inside one of them.
class Server final : public ServerBase, private ConnectionSet {
 public:
  using Handler = Callback<Task<void>(Stream&)>;

  // Use serve() instead. Errors: those of Listener::listen() and Listener::adopt().
  [[nodiscard]] static Result<std::unique_ptr<Server>> listen(LoopHere here,
                                                              std::span<const Address> addresses,
                                                              ServerLimits limits, Handler handler);
  [[nodiscard]] static Result<std::unique_ptr<Server>> adopt(LoopHere here,
                                                             std::vector<Socket> sockets,
                                                             ServerLimits limits, Handler handler);
  ~Server();

  // Wraps `f` as a Handler, whether it takes the Stream by value or by reference.
  template <class F>
  [[nodiscard]] static Handler handler(F f) {
    static_assert(StreamCoroutine<F>,
                  "the handler of a connection is a coroutine: "
                  "reactor::coro::Task<void> handler(reactor::coro::Stream stream)");
    return [f = std::move(f)](Stream& stream) mutable {
      if constexpr (std::invocable<F&, Stream&>) {
        return f(stream);
      } else {
        return f(std::move(stream));
      }
    };
  }

 private:
  class Connection;

  Server(LoopHere here, ServerLimits limits, Handler handler);
  reactor::Stream* make(NewConnection& from) override;
  void destroy(reactor::Stream&) noexcept override {}  // a Connection deletes itself
  void ask_all_to_end() override;

  Handler handler_;
  TaskGroup tasks_;
  IntrusiveList connections_;
};

// NOLINTBEGIN(performance-unnecessary-value-param): in a template the check overlooks moves

// Binds, listens, accepts, and runs `handler(stream)` for each connection. The server keeps
// `handler` and its captures. Errors: those of Server::listen(). After an error no address stays
// bound.
template <class F>
[[nodiscard]] Result<std::unique_ptr<Server>> serve(LoopHere here,
                                                    std::span<const Address> addresses,
                                                    ServerLimits limits, F handler) {
  return Server::listen(here, addresses, std::move(limits), Server::handler(std::move(handler)));
}
template <class F>
[[nodiscard]] Result<std::unique_ptr<Server>> serve(LoopHere here, const Address& address,
                                                    ServerLimits limits, F handler) {
  return serve(here, std::span<const Address>(&address, 1), std::move(limits), std::move(handler));
}
template <class F>
[[nodiscard]] Result<std::unique_ptr<Server>> serve(LoopHere here, const Address& address,
                                                    F handler) {
  return serve(here, address, ServerLimits{}, std::move(handler));
}
// Serves in the same way on sockets that already listen, from a prefork worker or a service
// manager. Errors: those of Server::adopt().
template <class F>
[[nodiscard]] Result<std::unique_ptr<Server>> serve(LoopHere here, std::vector<Socket> sockets,
                                                    ServerLimits limits, F handler) {
  return Server::adopt(here, std::move(sockets), std::move(limits),
                       Server::handler(std::move(handler)));
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace reactor::coro
