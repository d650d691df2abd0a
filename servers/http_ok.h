// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/options.h"

namespace servers {

// A worker of reactor-http-ok: answers every valid request, whatever its method, with 200 and the
// same body, until it shall end. Its exit status.
[[nodiscard]] int serve_http_ok(reactor::prefork::Worker& worker, const Service& service);

}  // namespace servers
