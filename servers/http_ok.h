// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/settings/options.h"

namespace servers {

// Runs a worker of reactor-http-ok until the worker has to end. It answers every valid request
// except CONNECT with 200 and the same body. Returns the exit status of the worker.
[[nodiscard]] int serve_http_ok(reactor::prefork::Worker& worker, const Service& service);

}  // namespace servers
