// SPDX-License-Identifier: MIT
#include "reactor/tls/server_context.h"

#include <openssl/rand.h>

#include "reactor/base/check.h"
#include "reactor/tls/error.h"
#include "reactor/tls/install.h"
#include "reactor/tls/ssl_transport.h"

namespace reactor::tls {

struct ServerContext::Hooks {
  static int on_name(SSL* ssl, int*, void* self) noexcept {
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    ServerContext& context = *static_cast<ServerContext*>(self);
    if (name == nullptr || !context.pick_) return SSL_TLSEXT_ERR_OK;
    ServerContext* picked = nullptr;
    if (!SslTransport::guard(ssl, [&](const SslTransport&) { picked = context.pick_(name); })) {
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (picked != nullptr) SSL_set_SSL_CTX(ssl, picked->context_);
    return SSL_TLSEXT_ERR_OK;
  }

  static int on_protocols(SSL*, const unsigned char** chosen, unsigned char* size,
                          const unsigned char* offered, unsigned offered_size,
                          void* self) noexcept {
    const std::string& ours = static_cast<ServerContext*>(self)->protocols_;
    unsigned char* found = nullptr;
    const int outcome = SSL_select_next_proto(
        &found, size, octets(ours), static_cast<unsigned>(ours.size()), offered, offered_size);
    *chosen = found;
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
  }
};

std::string new_ticket_key() {
  std::string key(kTicketKeySize, '\0');
  REACTOR_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), kTicketKeySize) == 1);
  return key;
}

ServerContext::ServerContext(ssl_ctx_st* context, const ServerOptions& options)
    : context_(context), handshake_timeout_(options.handshake_timeout) {
  REACTOR_CHECK(handshake_timeout_ > Duration::zero());
}

ServerContext::~ServerContext() { SSL_CTX_free(context_); }

Result<std::unique_ptr<ServerContext>> ServerContext::make(const ServerOptions& options) {
  SslCtxPtr owner = make_context(TLS_server_method());
  SSL_CTX* const raw = owner.get();
  std::unique_ptr<ServerContext> context(new ServerContext(owner.release(), options));
  Half half{};
  if (const Result<> done = install(raw, options.credentials, half); !done) return done.error();
  Result<std::string> protocols = protocol_list(options.protocols);
  if (!protocols) return protocols.error();
  context->protocols_ = std::move(*protocols);
  if (!options.ticket_key.empty()) {
    if (options.ticket_key.size() != kTicketKeySize) return Errc::bad_ticket_key;
    std::string key = options.ticket_key;  // the macro takes what may be written to
    SSL_CTX_set_tlsext_ticket_keys(raw, key.data(), key.size());
  }
  SSL_CTX_set_min_proto_version(raw, static_cast<int>(options.least_version));
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (!options.resumption) {
    SSL_CTX_set_options(raw, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(raw, 0);
  }
  SSL_CTX_set_tlsext_servername_callback(raw, &Hooks::on_name);
  SSL_CTX_set_tlsext_servername_arg(raw, context.get());
  if (!context->protocols_.empty()) {
    SSL_CTX_set_alpn_select_cb(raw, &Hooks::on_protocols, context.get());
  }
  return context;
}

std::unique_ptr<Transport> ServerContext::make_transport() {
  SslPtr ssl(made(SSL_new(context_)));
  SSL_set_accept_state(ssl.get());
  return std::make_unique<SslTransport>(std::move(ssl), handshake_timeout_);
}

}  // namespace reactor::tls
