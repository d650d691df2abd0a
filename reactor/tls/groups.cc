// SPDX-License-Identifier: MIT
#include "reactor/tls/groups.h"

#include <sstream>

#include "reactor/tls/internal/openssl.h"
#include "reactor/tls/tls_error.h"

namespace reactor::tls {

Result<> check_groups(const std::string& groups, std::string* culprit) {
  if (make_context(TLS_server_method(), groups)) return {};
  if (culprit == nullptr) return Errc::bad_groups;
  culprit->clear();
  std::istringstream names(groups);
  for (std::string name; std::getline(names, name, ':');) {
    if (make_context(TLS_server_method(), name)) continue;
    *culprit = name;
    break;
  }
  return Errc::bad_groups;
}

}  // namespace reactor::tls
