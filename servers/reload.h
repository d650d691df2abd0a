// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/prefork/worker.h"
#include "servers/settings/options.h"

namespace servers {

// With --workers 0, makes HUP read the options again and renew the certificate. With other numbers
// of workers it does nothing. `transports` must outlive the worker's loop; it is null without TLS.
void follow_reloads(reactor::prefork::Worker& worker, const Service& service,
                    TlsTransports* transports);

}  // namespace servers
