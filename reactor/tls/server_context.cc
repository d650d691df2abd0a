// SPDX-License-Identifier: MIT
#include "reactor/tls/server_context.h"

#include <openssl/rand.h>

#include <utility>

#include "reactor/base/internal/check.h"
#include "reactor/tls/internal/install.h"
#include "reactor/tls/internal/ssl_transport.h"
#include "reactor/tls/tls_error.h"

namespace reactor::tls {

struct ServerContext::Hooks {
  static int on_name(SSL* ssl, int*, void* self) noexcept {
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    ServerContext& context = *static_cast<ServerContext*>(self);
    if (name == nullptr || !context.pick_) return SSL_TLSEXT_ERR_OK;
    ServerContext* picked = nullptr;
    if (!SslTransport::guard(ssl, [&] { picked = context.pick_(name); })) {
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (picked != nullptr && SSL_set_SSL_CTX(ssl, picked->context_) == nullptr) {
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
  }

  static int on_protocols(SSL*, const unsigned char** chosen, unsigned char* size,
                          const unsigned char* offered, unsigned offered_size,
                          void* self) noexcept {
    const std::string& ours = static_cast<ServerContext*>(self)->protocols_;
    unsigned char* found = nullptr;
    const int outcome = SSL_select_next_proto(
        &found, size, raw_bytes(ours), static_cast<unsigned>(ours.size()), offered, offered_size);
    *chosen = found;
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  }
};

std::string new_ticket_key() {
  std::string key(kTicketKeySize, '\0');
  REACTOR_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kTicketKeySize) == 1);
  return key;
}

ServerContext::ServerContext(const ServerOptions& options, std::string protocols)
    : options_(options), protocols_(std::move(protocols)) {
  REACTOR_CHECK(options_.handshake_timeout > Duration::zero());
  // Erases the private key, because renew() gets it separately.
  OPENSSL_cleanse(options_.credentials.key.data(), options_.credentials.key.size());
  options_.credentials = {};
}

ServerContext::~ServerContext() { SSL_CTX_free(context_); }

Result<std::unique_ptr<ServerContext>> ServerContext::make(const ServerOptions& options) {
  Result<std::string> protocols = protocol_list(options.protocols);
  if (!protocols) return protocols.error();
  std::unique_ptr<ServerContext> context(new ServerContext(options, std::move(*protocols)));
  if (const Result<> done = context->renew(options.credentials); !done) return done.error();
  return context;
}

// Connections keep the SSL_CTX from which they were made.
Result<> ServerContext::renew(const Credentials& credentials) {
  Result<SslCtxPtr> fresh = make_context(TLS_server_method(), options_.groups);
  if (!fresh) return fresh.error();
  SSL_CTX* const raw = fresh->get();
  Half half{};
  if (const Result<> done = install(raw, credentials, half); !done) return done.error();
  if (!options_.ticket_key.empty()) {
    if (options_.ticket_key.size() != kTicketKeySize) return Errc::bad_ticket_key;
    // The macro takes a pointer to non-const memory.
    std::string& key = options_.ticket_key;
    if (SSL_CTX_set_tlsext_ticket_keys(raw, key.data(), key.size()) != 1) return take_error();
  }
  if (SSL_CTX_set_min_proto_version(raw, static_cast<int>(options_.least_version)) != 1) {
    return take_error();
  }
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (!options_.resumption) {
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    if (SSL_CTX_set_num_tickets(raw, 0) != 1) return take_error();
  }
  SSL_CTX_set_tlsext_servername_callback(raw, &Hooks::on_name);
  SSL_CTX_set_tlsext_servername_arg(raw, this);
  if (!protocols_.empty()) SSL_CTX_set_alpn_select_cb(raw, &Hooks::on_protocols, this);
  SSL_CTX_free(std::exchange(context_, fresh->release()));
  return {};
}

std::unique_ptr<Transport> ServerContext::make_transport() {
  SslPtr ssl(made(SSL_new(context_)));
  SSL_set_accept_state(ssl.get());
  return std::make_unique<SslTransport>(std::move(ssl), options_.handshake_timeout);
}

}  // namespace reactor::tls
