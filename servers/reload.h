// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/options.h"

namespace servers {

// With --workers 0: at HUP, asks `service` to read the options again and renews the certificate.
// `transports`, which may be null, outlives the worker's loop.
void follow_reloads(reactor::prefork::Worker& worker, const Service& service,
                    TlsTransports* transports);

}  // namespace servers
