// SPDX-License-Identifier: MIT
#include "servers/reload.h"

namespace servers {

void follow_reloads(reactor::prefork::Worker& worker, const Service& service,
                    TlsTransports* transports) {
  if (!service.reread) return;
  worker.on_reload([&service, transports] {
    service.reread([transports](const Tls& tls) { return transports->renew(tls); });
  });
}

}  // namespace servers
