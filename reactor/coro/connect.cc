// SPDX-License-Identifier: MIT
#include "reactor/coro/connect.h"

#include <utility>

namespace reactor::coro {

bool Connect::begin() {
  const auto done = [this](Result<Socket> result) {
    error_ = result.error();
    if (result) socket_ = std::move(*result);
    resume();
  };
  Result<std::unique_ptr<Connector>> connector =
      Connector::connect(context().loop, addresses_, options_, done, where_);
  error_ = connector.error();
  if (connector) connector_ = std::move(*connector);
  return connector_ != nullptr;
}

Result<Stream> Connect::await_resume() {
  if (error_) return error_;
  return Stream(context().loop, std::move(socket_), std::move(transport_), *stream_, where_);
}

}  // namespace reactor::coro
