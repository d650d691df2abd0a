// SPDX-License-Identifier: MIT
#include "servers/reload.h"

#include "reactor/base/log.h"

namespace servers {

void follow_reloads(reactor::prefork::Worker& worker, const Service& service,
                    TlsTransports* transports) {
  if (!service.reread) return;
  worker.on_reload([&service, transports] {
    const std::optional<Tls> tls = service.reread();
    if (!tls || transports == nullptr || !tls->on()) return;
    if (const reactor::Result<> renewed = transports->renew(*tls); !renewed) {
      REACTOR_LOG(error, "reload: the certificate stays as it is: " + renewed.error().message());
    }
  });
}

}  // namespace servers
