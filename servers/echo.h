// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/settings/options.h"

namespace servers {

// Runs a worker of reactor-echo, which sends back what it reads, until it has to end. Returns its
// exit status.
[[nodiscard]] int serve_echo(reactor::prefork::Worker& worker, const Service& service);

}  // namespace servers
