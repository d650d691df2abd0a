// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/settings/options.h"

namespace servers {

// Prepares a reload with --workers 0: at HUP, lets `service` read the options again and renews the
// certificate. `transports` may be null without TLS; it must outlive the worker's loop.
void follow_reloads(reactor::prefork::Worker& worker, const Service& service,
                    TlsTransports* transports);

}  // namespace servers
