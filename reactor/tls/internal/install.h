// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/tls/credentials.h"
#include "reactor/tls/internal/openssl.h"

namespace reactor::tls {

// The half of Credentials that an error is about.
enum class Half : bool { certificates, key };

// Makes the connections of `context` use `credentials`. Pass `half` as Half::certificates:
// after an error it names the half that is wrong. Errors: see Credentials::read().
[[nodiscard]] Result<> install(SSL_CTX* context, const Credentials& credentials, Half& half);

}  // namespace reactor::tls
