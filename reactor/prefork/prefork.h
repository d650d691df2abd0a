// SPDX-License-Identifier: MIT
// prefork::run(): runs a server on every core, without threads.
//
//   return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
//     auto server = reactor::Server<Echo>::adopt(worker.loop(), worker.listeners(), {}).value();
//     return worker.serve(*server);
//   });
//
// The master only binds, forks and supervises. It keeps every listener open. If a worker dies, only
// its own connections are lost, and it is replaced at once. If workers keep dying, the master waits
// longer before it replaces one, and meanwhile the other workers accept from the missing worker's
// queue. Workers die with the master. Signals to the master:
//   TERM        ends gracefully
//   INT         ends gracefully; a second one ends fast
//   QUIT        ends fast
//   USR1        calls on_reopen
//   HUP         replaces the workers, one after the other, without losing a connection
//   TTIN, TTOU  one worker more, one worker fewer
//   USR2        starts the program again with the same sockets, and ends when the new one serves
// If a service manager sets NOTIFY_SOCKET, the master tells it about readiness, reloads, upgrades
// and the end. The manager's watchdog covers each worker (notify.h).
#pragma once

#include "reactor/prefork/prefork_options.h"
#include "reactor/prefork/worker.h"

namespace reactor::prefork {

// Serves until a signal ends the server, then returns an ExitCode. Until it returns, it owns
// SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU and SIGCHLD. It reaps only
// the children that it forked itself; as process 1 it also reaps orphans. Call it from the main
// thread, before any other thread is started, because it forks. It does not return in a worker
// process.
[[nodiscard]] int run(Options options, WorkerFunction serve);

// Blocks the signals that run() owns. Call this if the program makes its pid known before run(),
// for example in a pid file. A signal that arrives in between then waits for run() instead of
// ending the program. run() unblocks the signals itself. At its end it restores the mask that it
// found, so that signals that arrive later stay blocked.
void hold_signals() noexcept;

}  // namespace reactor::prefork
