// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/net/address.h"
#include "reactor/net/socket.h"
#include "reactor/poller/event.h"
#include "reactor/prefork/bind.h"
#include "reactor/prefork/identity.h"

namespace reactor::prefork {

class Worker;

// What each worker process runs, after fork, and with workers = 0 this process. Its result is the
// worker's exit status; 0 is a wanted end. An exception is logged and counts as 1.
using WorkerFunction = Callback<int(Worker&)>;

// What run() returns, and a server's main() with it.
enum ExitCode : int {
  kExitOk = 0,         // after TERM, INT or QUIT, also when the graceful time-out expired
  kExitFailed = 1,     // anything later than start; an exception out of a worker with workers = 0
  kExitNotReady = 3,   // no worker became ready
  kExitNoListener = 4  // an address could not be bound, or an inherited socket not be used
};

// How a worker serves its connections; the worker function is the same.
enum class Model : std::uint8_t {
  prefork,  // all of them in its loop
  fork      // each in a process of its own, which may block: see fork_server.h
};

// What a reload may change.
struct Plan {
  // Worker processes, up to kMostWorkers; 0: no fork, serve in this process (not by a reload).
  unsigned workers = 1;

  // From TERM, or from the successor's `ready`, to the end of connections that are still busy; then
  // they are cut off.
  Duration graceful_timeout = std::chrono::seconds(30);

  // A worker whose loop is silent for so long, or that is not ready after it, is replaced: SIGABRT,
  // after 2 s more SIGKILL. Half of it before, the log names the callback that holds it up. 0: no
  // limit.
  Duration timeout = std::chrono::seconds(30);

  // A worker that has served so many requests (or connections, see Worker::serve()) is replaced;
  // for each worker another number, up to a tenth lower, so that not all go at once. 0: never.
  std::uint64_t max_requests = 0;

  // For each worker's Loop.
  Backend backend = Backend::automatic;

  // With Model::fork the worker function runs once for each connection, in its process: the Worker
  // has no listeners there, and Worker::serve() returns when the connection is over.
  // `max_children`: connections at once, per worker; 0 stands for 40.
  Model model = Model::prefork;
  std::size_t max_children = 40;

  // Processors to pin the workers to, one after the other and again from the first; empty: none.
  // Where there are no more workers than processors, and one socket for each, a connection goes to
  // the worker on the processor that got its SYN, however many that has; else to whoever has
  // fewest.
  std::vector<int> processors = {};
};

inline constexpr unsigned kMostWorkers = 1024;

struct Options : Plan {
  // Bound in this order before the first fork. Port 0 picks one, the same for all workers. Sockets
  // that are there already are taken over instead (bind.h).
  std::vector<Bind> addresses = {};
  // Whether the worker function takes Worker::datagrams(). Off: a datagram socket that was left by
  // the parent process is an error, as it would not be read.
  bool datagrams = false;

  // For every listener. reuse_port is set below.
  ListenOptions listen = {};

  // One socket per worker and address, over which the kernel spreads connections. Off, for unix
  // sockets, and where the kernel does not balance: one socket that all workers share.
  bool reuse_port = true;

  // Where a worker that is stuck says what holds it up, as it can't log then; standard error.
  int report_descriptor = 2;

  // Who the workers become after the fork, before they touch a connection; with workers = 0 this
  // process itself, after it has bound. The master stays who it is: it reads nothing from clients,
  // and needs its rights to bind, to read what is secret and to make log files again.
  std::optional<Identity> identity = {};

  // USR2: how to start the program anew. It takes over the sockets of the addresses that it wants
  // too, and the idle connections; once all its workers are ready, they begin to accept and this
  // one ends. If it fails before, it has accepted nothing and all stays as it is. Empty: USR2 is
  // ignored.
  struct Upgrade {
    std::vector<std::string> command;  // program, found as execvp(3) does, and arguments
    std::vector<int> descriptors;      // of the application, that stay open under these numbers
    std::vector<std::pair<std::string, std::string>> environment;  // names and values to add
  };
  Upgrade upgrade = {};

  // Called first in each process that is forked, to let go of what is this process's alone.
  Callback<void()> on_fork = {};
  // Called in this process. The new program serves; this one goes.
  Callback<void()> on_upgraded = {};
  // An address that was bound, with its real port; once each, in order. Not by a
  // program that another one started as its upgrade.
  Callback<void(const Endpoint&)> on_listening = {};
  // Every worker accepts; once.
  Callback<void()> on_ready = {};
  // In place of on_ready, where another program started this one as its upgrade, and ends now.
  Callback<void()> on_succession = {};
  // An address could not be bound, or an inherited socket not be used; run() then returns
  // kExitNoListener. Logged where this is empty.
  Callback<void(const Bind&, std::error_code)> on_bind_error = {};
  // USR1 came, in the master and in each worker: reopen log files. After fork() in a worker.
  Callback<void()> on_reopen = {};

  // HUP came, in the master: what the workers of the next generation go by. Nothing: the new
  // configuration is bad, which the callback has logged; all stays as it is. Without a callback the
  // workers are replaced as they are.
  struct Reload {
    Plan plan;
    WorkerFunction serve;
  };
  Callback<std::optional<Reload>()> on_reload = {};
};

}  // namespace reactor::prefork
