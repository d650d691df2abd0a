// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/settings/options.h"

namespace servers {

// Runs a worker of reactor-echo until the worker has to end. It sends all bytes and datagrams back
// to their clients. Returns the exit status of the worker.
[[nodiscard]] int serve_echo(reactor::prefork::Worker& worker, const Service& service);

}  // namespace servers
