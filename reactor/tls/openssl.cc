// SPDX-License-Identifier: MIT
#include "reactor/tls/openssl.h"

#include "reactor/tls/error.h"

namespace reactor::tls {

SslCtxPtr make_context(const SSL_METHOD* method) {
  SslCtxPtr context(made(SSL_CTX_new(method)));
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // An idle connection keeps no buffers; the rest of a write may come from another place.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A record in one call instead of two: its header is not asked for alone.
  SSL_CTX_set_read_ahead(raw, 1);
  return context;
}

Result<std::string> protocol_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) return Errc::bad_protocol;
    list += static_cast<char>(name.size());
    list += name;
  }
  return list;
}

}  // namespace reactor::tls
