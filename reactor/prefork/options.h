// SPDX-License-Identifier: MIT
#pragma once

#include <system_error>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/net/address.h"
#include "reactor/net/socket.h"
#include "reactor/poller/event.h"

namespace reactor::prefork {

// What run() returns, and a server's main() with it.
enum ExitCode : int {
  kExitOk = 0,         // after TERM, INT or QUIT, also when the graceful time-out expired
  kExitFailed = 1,     // anything later than start; an exception out of a worker with workers = 0
  kExitNotReady = 3,   // no worker became ready
  kExitNoListener = 4  // an address could not be bound or listened on
};

struct Options {
  // Bound in this order before the first fork. Port 0 picks one, the same for all workers.
  std::vector<Address> addresses;

  // Worker processes; 0: no fork, serve in this process.
  unsigned workers = 1;

  // For every listener. reuse_port is set below.
  ListenOptions listen;

  // One socket per worker and address, over which the kernel spreads connections. Off, for unix
  // sockets, and where the kernel does not balance: one socket that all workers share.
  bool reuse_port = true;

  // From TERM to the end of connections that are still busy; then they are cut off.
  Duration graceful_timeout = std::chrono::seconds(30);

  // For each worker's Loop.
  Backend backend = Backend::automatic;

  // Called in this process. An address that was bound, with its real port; once each, in order.
  Callback<void(const Address&)> on_listening = {};
  // Every worker accepts; once.
  Callback<void()> on_ready = {};
  // An address could not be bound; run() then returns kExitNoListener. Logged where this is empty.
  Callback<void(const Address&, std::error_code)> on_bind_error = {};
  // USR1 came, in the master and in each worker: reopen log files. After fork() in a worker.
  Callback<void()> on_reopen = {};
};

}  // namespace reactor::prefork
