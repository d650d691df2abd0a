// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/coro/coro_context.h"
#include "reactor/coro/stream.h"
#include "reactor/net/connector.h"

namespace reactor::coro {

// connect() returns this awaitable.
class Connect : private Waiter {
 public:
  Connect(std::vector<Address> addresses, std::unique_ptr<Transport> transport,
          const ConnectOptions& options, const StreamOptions& stream, SourceLocation where)
      : addresses_(std::move(addresses)),
        transport_(std::move(transport)),
        options_(options),
        stream_(&stream),
        where_(where) {}
  Connect(Connect&&) noexcept = default;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <std::derived_from<Promise> P>
  [[nodiscard]] bool await_suspend(std::coroutine_handle<P> coroutine) {
    suspend(coroutine);
    return begin();
  }
  [[nodiscard]] Result<Stream> await_resume();

 private:
  [[nodiscard]] bool begin();

  std::vector<Address> addresses_;
  std::unique_ptr<Transport> transport_;
  ConnectOptions options_;
  const StreamOptions* stream_;
  SourceLocation where_;
  std::unique_ptr<Connector> connector_;
  Socket socket_;
  std::error_code error_;
};

// GCC 12 destroys an argument in a co_await expression twice. That is harmless only if the
// argument's type is trivially destructible.
static_assert(std::is_trivially_destructible_v<ConnectOptions>);

// `Result<Stream> stream = co_await connect(address)` connects to the address or, if there are
// several, to the first one that answers. Errors: those of Connector. The StreamOptions must
// outlive the connection. Destroying the task gives up all attempts. Throws std::bad_alloc.
[[nodiscard]] inline Connect connect(std::span<const Address> addresses,
                                     const ConnectOptions& options = {},
                                     const StreamOptions& stream = Stream::default_options(),
                                     SourceLocation where = SourceLocation::current()) {
  return {{addresses.begin(), addresses.end()}, nullptr, options, stream, where};
}
[[nodiscard]] inline Connect connect(const Address& address, const ConnectOptions& options = {},
                                     const StreamOptions& stream = Stream::default_options(),
                                     SourceLocation where = SourceLocation::current()) {
  return {{address}, nullptr, options, stream, where};
}
// Connects in the same way, then starts the handshake of `transport`: see Stream's constructor.
//   connect(address, context.transport_for("example.org").value())
[[nodiscard]] inline Connect connect(std::span<const Address> addresses,
                                     std::unique_ptr<Transport> transport,
                                     const ConnectOptions& options = {},
                                     const StreamOptions& stream = Stream::default_options(),
                                     SourceLocation where = SourceLocation::current()) {
  return {{addresses.begin(), addresses.end()}, std::move(transport), options, stream, where};
}
[[nodiscard]] inline Connect connect(const Address& address, std::unique_ptr<Transport> transport,
                                     const ConnectOptions& options = {},
                                     const StreamOptions& stream = Stream::default_options(),
                                     SourceLocation where = SourceLocation::current()) {
  return {{address}, std::move(transport), options, stream, where};
}

}  // namespace reactor::coro
