// SPDX-License-Identifier: MIT
// If the library was built with TLS, this program checks that both it and OpenSSL are found.
#include "reactor/tls/client_context.h"

int main() { return reactor::tls::ClientContext::make({}) ? 0 : 1; }
