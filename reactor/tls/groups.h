// SPDX-License-Identifier: MIT
// Groups for the key exchange, as SSL_CTX_set1_groups_list(3) names them: the preferred one first,
// with colons between them.
#pragma once

#include <string>

#include "reactor/base/result.h"

namespace reactor::tls {

// The default of both sides. OpenSSL's own also has finite-field groups, and the peer chooses: a
// handshake with ffdhe8192 takes 90 ms of processor time, with X25519 less than 1.
inline constexpr const char* kDefaultGroups = "X25519:P-256:P-384";

// Whether OpenSSL takes `groups`. Errors: Errc::bad_groups; `culprit`, if given, is then the first
// name that OpenSSL does not know, or empty if the list as a whole is wrong (empty, a name twice).
[[nodiscard]] Result<> check_groups(const std::string& groups, std::string* culprit = nullptr);

}  // namespace reactor::tls
