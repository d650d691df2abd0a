// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/options.h"

namespace servers {

// A worker of reactor-echo: sends back what it reads, until it shall end. Its exit status.
[[nodiscard]] int serve_echo(reactor::prefork::Worker& worker, const Service& service);

}  // namespace servers
