// SPDX-License-Identifier: MIT
// TLS of the servers, where they are built with it: tls.cc, else tls_none.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/transport.h"

namespace servers {

// What a worker needs, without access to files: it may not have the rights for them any more.
struct Tls {
  std::string certificates, key;  // PEM; empty: no TLS
  std::string ticket_key;         // of all workers, so that each takes the others' tickets
  std::string groups;             // for the key exchange
  std::string warning;            // about certificates that clients will refuse; empty: none

  [[nodiscard]] bool on() const noexcept { return !certificates.empty(); }
};

// Transports of TLS, whose certificate can be renewed while they are in use.
class TlsTransports : public reactor::TransportFactory {
 public:
  // Connections that come from now on get the certificate of `tls`, which has one. The rest of its
  // settings stays. Errors: those of tls::ServerContext::renew().
  virtual reactor::Result<> renew(const Tls& tls) = 0;
};

// Whether the program was built with TLS: else there are no options for it.
[[nodiscard]] bool has_tls() noexcept;

// Of --tls-groups.
[[nodiscard]] std::string default_tls_groups();

// Checks the values of --tls-cert, --tls-key and --tls-groups, and reads the two files, or neither
// if both names are empty. Throws BadValue.
[[nodiscard]] Tls read_tls(const std::string& certificate_file, const std::string& key_file,
                           const std::string& groups);

// For ServerLimits::transports; null without TLS. `protocols`: by ALPN.
[[nodiscard]] std::unique_ptr<TlsTransports> make_transports(
    const Tls& tls, const std::vector<std::string>& protocols);

}  // namespace servers
