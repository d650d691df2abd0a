// SPDX-License-Identifier: MIT
// Key-exchange groups are written as SSL_CTX_set1_groups_list(3) names them: the preferred one
// first, separated by colons.
#pragma once

#include <string>

#include "reactor/base/result.h"

namespace reactor::tls {

// The default of both sides. OpenSSL's default also has finite-field groups, and the peer can
// choose one: a handshake with ffdhe8192 takes 90 ms of processor time, one with X25519 less than 1
// ms.
inline constexpr const char* kDefaultGroups = "X25519:P-256:P-384";

// Returns success if OpenSSL accepts `groups`. Errors: Errc::bad_groups. Unless `culprit` is null,
// an error sets it to the first name that OpenSSL does not know, or to an empty string if the list
// as a whole is wrong (empty, or a name twice).
[[nodiscard]] Result<> check_groups(const std::string& groups, std::string* culprit = nullptr);

}  // namespace reactor::tls
