// SPDX-License-Identifier: MIT
// Two ways to end a Stream other than close(): abort(), and detach(), which gives the socket back.
#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {

void Stream::abort() {
  if (has(kClosed)) return;
  Socket::reset_on_close(fd());
  fail(std::make_error_code(std::errc::connection_aborted));
}

Result<Socket> Stream::detach() {
  if (transport() != nullptr) return Errc::not_supported;
  if (context_->active == this) send_batch();
  if (has(kClosing) || !has(kStarted)) return std::make_error_code(std::errc::not_connected);
  if (has(kQueued)) return std::make_error_code(std::errc::device_or_resource_busy);
  loop().detach(*this, Detach::staying);
  loop().disarm(*this);
  if (has(kExtras)) extras_->end();
  Socket socket{UniqueFd(fd())};
  set_fd(-1);
  set(kClosing | kClosed);
  if (context_->active == this) set(kUnattached);
  context_->announced.erase(this);
  if (owner_ != nullptr) loop().call_soon(*this);  // the loop tells the owner
  return socket;
}

}  // namespace reactor
