// SPDX-License-Identifier: MIT
#include "servers/tls.h"

namespace servers {

bool has_tls() noexcept { return false; }

std::string default_tls_groups() { return {}; }

Tls read_tls(const std::string&, const std::string&, const std::string&) { return {}; }

std::unique_ptr<TlsTransports> make_transports(const Tls&, const std::vector<std::string>&) {
  return nullptr;
}

}  // namespace servers
