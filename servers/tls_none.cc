// SPDX-License-Identifier: MIT
#include "servers/tls.h"

namespace servers {

bool has_tls() noexcept { return false; }

Tls read_tls(const std::string&, const std::string&) { return {}; }

std::unique_ptr<reactor::TransportFactory> make_transports(const Tls&,
                                                           const std::vector<std::string>&) {
  return nullptr;
}

}  // namespace servers
