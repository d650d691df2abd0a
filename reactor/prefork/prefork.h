// SPDX-License-Identifier: MIT
// prefork::run(): a server on every core, without threads.
//
//   return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
//     auto server = reactor::Server<Echo>::adopt(worker.loop(), worker.listeners(), {}).value();
//     return worker.serve(*server);
//   });
//
// The master binds, forks and supervises, and does nothing else. It keeps every listener open: a
// worker that dies loses its own connections and no others, and is replaced at once; crash loops
// are slowed down, and siblings serve the queue meanwhile. Workers die with the master. Signals to
// the master:
//   TERM graceful; INT graceful, a second one fast; QUIT fast; USR1 on_reopen; HUP replaces the
//   workers, one after the other, without losing a connection; TTIN, TTOU one worker more, one
//   fewer; USR2 starts the program anew with the same sockets and, once that serves, ends this one.
// A service manager that asks for it (NOTIFY_SOCKET) is told of readiness, reloads, upgrades and
// the end, and sees a watchdog that looks at each worker (notify.h).
#pragma once

#include "reactor/prefork/options.h"
#include "reactor/prefork/worker.h"

namespace reactor::prefork {

// Serves until a signal ends it; returns an ExitCode. Owns SIGTERM, SIGINT, SIGQUIT, SIGHUP,
// SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU and SIGCHLD meanwhile, and waits for no children but its own.
// Call it from the main thread, before there are others: it forks. In the workers it does not
// return.
[[nodiscard]] int run(Options options, WorkerFunction serve);

// Blocks those signals. For a program that says where it is before run(), as in a pid file: what
// others send from then on waits for run() instead of ending the program. run() unblocks them
// itself, and at its end restores the mask that it found. So what comes later is not delivered.
void hold_signals() noexcept;

}  // namespace reactor::prefork
