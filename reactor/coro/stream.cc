// SPDX-License-Identifier: MIT
#include "reactor/coro/stream.h"

namespace reactor::coro {

Stream::Stream(Loop& loop, Socket socket, const StreamOptions& options, SourceLocation where)
    : Stream(loop, std::move(socket), nullptr, options, where) {}

Stream::Stream(Loop& loop, Socket socket, std::unique_ptr<Transport> transport,
               const StreamOptions& options, SourceLocation where)
    : state_(new StreamState(loop, std::move(socket), options, nullptr, where)) {
  state_->set_transport(std::move(transport));
  state_->start(false);
}

Result<Socket> Stream::detach() {
  Result<Socket> socket = state_->detach();
  if (socket) state_.reset();
  return socket;
}

}  // namespace reactor::coro
