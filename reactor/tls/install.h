// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/tls/credentials.h"
#include "reactor/tls/openssl.h"

namespace reactor::tls {

// Which half of Credentials an error is about.
enum class Half : bool { certificates, key };

// Makes connections of `context` prove themselves by `credentials`. Errors: see
// Credentials::read(); `half` is set then.
[[nodiscard]] Result<> install(SSL_CTX* context, const Credentials& credentials, Half& half);

}  // namespace reactor::tls
