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
#include "reactor/poller/readiness.h"
#include "reactor/prefork/bind.h"
#include "reactor/prefork/exit_code.h"
#include "reactor/prefork/identity.h"

namespace reactor::prefork {

class Worker;

// The function that each worker process runs after the fork. With workers = 0 the process that
// called run() runs it. Its result is the exit status of the process; 0 means a normal end. An
// exception is logged and counts as 1.
using WorkerFunction = Callback<int(Worker&)>;

// How a worker serves its connections. The worker function is the same for both.
enum class Model : std::uint8_t {
  prefork,  // all connections in the loop of the worker
  fork      // each connection in a process of its own, which may block: see fork_server.h
};

// The part of the options that a reload may change.
struct Plan {
  // The number of worker processes, up to kMostWorkers. 0: the process that called run() serves,
  // without a fork. A reload can't change the number to 0.
  unsigned workers = 1;

  // How long busy connections may take to finish, counted from TERM or from the moment when the
  // successor is ready. Connections that take longer are cut off.
  Duration graceful_timeout = std::chrono::seconds(30);

  // A worker is aborted and replaced if its loop does not turn for this long, or if it is not ready
  // this long after its start. It gets SIGABRT, and 2 s later SIGKILL. If the loop does not turn
  // for half of this time, the worker reports the callback that blocks it (report_descriptor). 0:
  // no limit.
  Duration timeout = std::chrono::seconds(30);

  // A worker that has served this many requests is replaced; if the protocol has no requests,
  // accepted connections count (Service::set_limit()). Each worker lowers the number at random by
  // up to a tenth, so that not all workers are replaced at the same time. 0: never.
  std::uint64_t max_requests = 0;

  // The backend of each worker's Loop.
  Backend backend = Backend::automatic;

  // With Model::fork the worker function runs once for each connection, in the process of that
  // connection. Its Worker has no listeners, and Worker::serve() returns when the connection is
  // over. `max_children` limits the connections per worker; 0 stands for 40.
  Model model = Model::prefork;
  std::size_t max_children = 40;

  // The processors that the workers are pinned to: the first worker to the first processor, and so
  // on, again from the first processor when the list ends. If there are no more workers than
  // processors, and each worker has its own socket, a new connection goes to the worker on the
  // processor that received its SYN, however many connections that worker has. If the list is
  // empty, workers are not pinned, and a new connection goes to the worker that has fewest
  // connections.
  std::vector<int> processors = {};
};

inline constexpr unsigned kMostWorkers = 1024;

struct Options : Plan {
  // The addresses to listen on. They are bound in this order before the first fork. Port 0 picks a
  // free port, the same for all workers. Sockets that exist already are taken over instead
  // (bind.h).
  std::vector<Bind> addresses = {};
  // Whether the worker function uses Worker::datagrams(). If not, a datagram socket that the parent
  // process left open is an error, because nobody would read it.
  bool datagrams = false;

  // These options apply to every listener. But `reuse_port` below overrides
  // ListenOptions::reuse_port.
  ListenOptions listen = {};

  // Whether each worker has a socket of its own for each address, and the kernel spreads the
  // connections over these sockets. All workers share one socket per address if this is off, if the
  // address is a unix socket, or if the system's kernel can't spread connections.
  bool reuse_port = true;

  // If the loop of a worker has not turned for half of Plan::timeout, the worker writes a report to
  // this descriptor: the callback that blocks the loop, and a stack trace. The worker writes the
  // report in a signal handler, where it can't use the log. The default is standard error.
  int report_descriptor = 2;

  // The identity that workers take after the fork, before they touch a connection. With workers = 0
  // the process that called run() takes it, after it has bound the addresses. The master keeps its
  // own identity: it reads nothing from clients, and needs its rights to bind, to read secrets and
  // to reopen log files.
  std::optional<Identity> identity = {};

  // How USR2 starts the program anew. The new program takes over the sockets of those addresses
  // that it listens on too, and the idle connections. Once all its workers are ready, they begin to
  // accept and this program ends. If the new program fails before that, it has accepted nothing and
  // this one goes on as before. If the command is empty, USR2 is logged and ignored.
  struct Upgrade {
    std::vector<std::string> command;  // the program, found as execvp(3) does, and its arguments
    std::vector<int> descriptors;      // the application's, to stay open under these numbers
    std::vector<std::pair<std::string, std::string>> environment;  // names and values to add
  };
  Upgrade upgrade = {};

  // Called in each worker after the fork, and with Model::fork in the process of each connection,
  // before the worker function. Use it to release resources that only the parent process may have.
  Callback<void()> on_fork = {};
  // Called in the old master of an upgrade, when the new program begins to serve and the old one
  // begins to end.
  Callback<void()> on_upgraded = {};
  // Called once for each bound address, in order, with the real port. Not called in a program that
  // another one started as its upgrade.
  Callback<void(const Endpoint&)> on_listening = {};
  // Called once, when every worker accepts.
  Callback<void()> on_ready = {};
  // Called in place of on_ready in a program that another one started as its upgrade. The other
  // program is about to end.
  Callback<void()> on_succession = {};
  // Called if an address could not be bound, or an inherited socket could not be used; run() then
  // returns kExitNoListener. Without a callback the error is logged.
  Callback<void(const Bind&, std::error_code)> on_bind_error = {};
  // Called after USR1, to reopen log files: in the master, in each worker and in the process of
  // each connection. Each of them calls its own copy, which fork() made.
  Callback<void()> on_reopen = {};

  // on_reload is called in the master after HUP. It returns the plan and the worker function of the
  // next generation of workers. If the new configuration is bad, on_reload has to log the reason
  // and return nothing, and the present workers go on. Without a callback the workers are replaced
  // under the present plan.
  //
  // One worker of the new generation is tried first. If it does not become ready, the present
  // generation goes on. So on_reload should not change anything that the present generation uses.
  struct Reload {
    Plan plan;
    WorkerFunction serve;
    // Called in the master, at most once, when the first worker of the new generation is ready and
    // no step that can fail is left. Adapts the master to the new configuration.
    // An exception from this callback leaves run(), like an exception from on_reload.
    Callback<void()> on_adopted = {};
  };
  Callback<std::optional<Reload>()> on_reload = {};
};

}  // namespace reactor::prefork
