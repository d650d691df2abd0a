// SPDX-License-Identifier: MIT
// These functions add TLS to the servers. tls.cc implements them in builds with TLS, and
// tls_none.cc in builds without.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/transport.h"

namespace servers {

// The TLS settings that a worker needs. They include the contents of the files, because the worker
// may not have the right to read the files.
struct Tls {
  std::string certificates, key;  // PEM; empty: no TLS
  std::string ticket_key;         // shared by all workers, so that each accepts the others' tickets
  std::string groups;             // for the key exchange
  std::string warning;            // about a certificate that clients will refuse; empty: none

  [[nodiscard]] bool on() const noexcept { return !certificates.empty(); }
};

// Makes transports for TLS. Their certificate can be renewed while they are in use.
class TlsTransports : public reactor::TransportFactory {
 public:
  // Uses the certificate of `tls`, which must have one, for all later connections. Ignores the
  // other settings in `tls`. Errors: those of tls::ServerContext::renew().
  virtual reactor::Result<> renew(const Tls& tls) = 0;
};

// Returns whether the program was built with TLS. Without it there are no options for TLS.
[[nodiscard]] bool has_tls() noexcept;

// Returns the default of --tls-groups.
[[nodiscard]] std::string default_tls_groups();

// Checks the values of --tls-cert, --tls-key and --tls-groups, and reads the two files. Reads none
// if both names are empty. Throws BadValue.
[[nodiscard]] Tls read_tls(const std::string& certificate_file, const std::string& key_file,
                           const std::string& groups);

// Makes the value of ServerLimits::transports; null without TLS. `protocols` are offered by ALPN.
[[nodiscard]] std::unique_ptr<TlsTransports> make_transports(
    const Tls& tls, const std::vector<std::string>& protocols);

}  // namespace servers
