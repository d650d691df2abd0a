// SPDX-License-Identifier: MIT
// LastCall: ends listeners whose address the new program of an upgrade does not have, and cuts off
// no client that is queued there. Private to prefork.
#pragma once

#include <memory>
#include <vector>

#include "reactor/base/unique_fd.h"
#include "reactor/loop/loop.h"
#include "reactor/net/listener.h"
#include "reactor/net/service.h"

namespace reactor::prefork {

class LastCall final : private AcceptHandler {
 public:
  explicit LastCall(Loop& loop);
  LastCall(const LastCall&) = delete;
  LastCall& operator=(const LastCall&) = delete;

  // Gives the connections that are queued at these listening sockets to `service`, which outlives
  // this. New ones must be refused there already. Connections whose handshake has begun may still
  // arrive (Socket::latest_arrival()); after that the sockets are closed. A socket that can't be
  // watched is closed at once, which is logged.
  void start(Service& service, std::vector<UniqueFd> sockets);
  // Accepts what is queued now, and closes the sockets. Returns how many connections came. For lack
  // of descriptors or memory some may be left: then over() is false, and it goes on by itself.
  int finish();
  // Whether all sockets are closed.
  [[nodiscard]] bool over() const noexcept { return listeners_.empty(); }

 private:
  void on_accept(Listener& listener, Socket connection) override;
  void close();

  Loop& loop_;
  Service* service_ = nullptr;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Timer closing_;
  TimePoint end_{};  // when the last handshake that has begun is over, at all sockets
  int accepted_ = 0;
};

}  // namespace reactor::prefork
