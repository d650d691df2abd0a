// SPDX-License-Identifier: MIT
// TLS of the servers, where they are built with it: tls.cc, else tls_none.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reactor/net/transport.h"

namespace servers {

// What a worker needs, without access to files: it may not have the rights for them any more.
struct Tls {
  std::string certificates, key;  // PEM; empty: no TLS
  std::string ticket_key;         // of all workers, so that each takes the others' tickets
};

// Whether --tls-cert and --tls-key can mean anything.
[[nodiscard]] bool has_tls() noexcept;

// Reads the files of --tls-cert and --tls-key, or neither where both are empty. Throws BadValue.
[[nodiscard]] Tls read_tls(const std::string& certificate_file, const std::string& key_file);

// For ServerLimits::transports; null without TLS. `protocols`: by ALPN.
[[nodiscard]] std::unique_ptr<reactor::TransportFactory> make_transports(
    const Tls& tls, const std::vector<std::string>& protocols);

}  // namespace servers
