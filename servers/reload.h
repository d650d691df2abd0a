// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/settings/options.h"

namespace servers {

// Sets what HUP does with --workers 0: `service` reads the options again, and the certificate is
// renewed. `transports` must outlive the worker's loop. It may be null without TLS.
void follow_reloads(reactor::prefork::Worker& worker, const Service& service,
                    TlsTransports* transports);

}  // namespace servers
