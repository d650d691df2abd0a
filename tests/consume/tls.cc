// SPDX-License-Identifier: MIT
// Where the library was built with TLS: that it is found, and OpenSSL with it.
#include "reactor/tls/client_context.h"

int main() { return reactor::tls::ClientContext::make({}) ? 0 : 1; }
