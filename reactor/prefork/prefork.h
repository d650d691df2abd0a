// SPDX-License-Identifier: MIT
// prefork::run(): a server on every core, without threads.
//
//   return reactor::prefork::run(std::move(options), [](reactor::prefork::Worker& worker) {
//     auto server = reactor::Server<Echo>::adopt(worker.loop(), worker.listeners(), {}).value();
//     worker.on_drain([&] { server->drain([&] { worker.loop().stop(); }); });
//     return worker.run();
//   });
//
// The master binds, forks and supervises, and does nothing else. It keeps every listener open: a
// worker that dies loses its own connections and no others, and is replaced at once; crash loops
// are slowed down. Workers die with the master. Signals to the master:
//   TERM graceful; INT graceful, a second one fast; QUIT fast; USR1 on_reopen; HUP, USR2, TTIN and
//   TTOU are logged and ignored.
#pragma once

#include "reactor/base/callback.h"
#include "reactor/prefork/options.h"
#include "reactor/prefork/worker.h"

namespace reactor::prefork {

// What each worker process runs, after fork, and with workers = 0 this process. Its result is the
// worker's exit status; 0 is a wanted end. An exception is logged and counts as 1.
using WorkerFunction = Callback<int(Worker&)>;

// Serves until a signal ends it; returns an ExitCode. Owns SIGTERM, SIGINT, SIGQUIT, SIGHUP,
// SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU and SIGCHLD meanwhile, and waits for no children but its own.
// Call it from the main thread, before there are others: it forks. In the workers it does not
// return.
[[nodiscard]] int run(Options options, WorkerFunction serve);

}  // namespace reactor::prefork
