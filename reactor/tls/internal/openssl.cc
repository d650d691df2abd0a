// SPDX-License-Identifier: MIT
#include "reactor/tls/internal/openssl.h"

#include "reactor/tls/tls_error.h"

namespace reactor::tls {

namespace {

// The ciphers for TLS 1.2; those of 1.3 are all authenticated. There is no CBC, no static RSA and
// no DHE: a peer could insist on a large finite-field group, which costs this side a hundred times
// as much as X25519.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

}  // namespace

Result<SslCtxPtr> make_context(const SSL_METHOD* method, const std::string& groups) {
  ERR_clear_error();
  SslCtxPtr context(made(SSL_CTX_new(method)));
  SSL_CTX* const raw = context.get();
  if (SSL_CTX_set1_groups_list(raw, groups.c_str()) != 1) {
    ERR_clear_error();
    return Errc::bad_groups;
  }
  if (SSL_CTX_set_cipher_list(raw, kCiphers) != 1) return take_error();
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1) return take_error();
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // An idle connection keeps no buffers. A write may be continued from other memory.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Reads a record in one call instead of two, because its header is not read separately.
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
