// SPDX-License-Identifier: MIT
// LastCall: closes listeners whose address the new program of an upgrade does not have. Before that
// it accepts the clients that are queued there. Private to prefork.
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

  // Gives the connections that are queued at these listening sockets to `service`, which must
  // outlive this object. The caller has already made the sockets refuse new connections.
  // Connections whose handshake has begun may still arrive, until Socket::latest_arrival(). After
  // that the sockets are closed. A socket that can't be watched is closed at once, which is logged.
  void start(Service& service, std::vector<UniqueFd> sockets);
  // Accepts the connections that are queued now, and closes the sockets. Returns how many
  // connections it accepted. If descriptors or memory run out, some are left: over() is then false,
  // and LastCall tries again by itself.
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
  TimePoint end_{};  // from then on no handshake that has begun can still bring a connection
  int accepted_ = 0;
};

}  // namespace reactor::prefork
