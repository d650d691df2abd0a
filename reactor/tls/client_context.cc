// SPDX-License-Identifier: MIT
// A session is kept for each host and port, and is used for the next connection to the same host
// and port:
//
//   secure() --> find the session --> handshake, resumed or in full
//                                       --> OpenSSL calls on_session() for each ticket --> keep()
#include "reactor/tls/client_context.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "reactor/base/internal/c_string.h"
#include "reactor/base/internal/check.h"
#include "reactor/net/stream/stream.h"
#include "reactor/tls/internal/ssl_transport.h"
#include "reactor/tls/tls_error.h"

namespace reactor::tls {
namespace {

// The longest name (RFC 1035 section 2.3.4). Addresses are shorter.
constexpr std::size_t kLongestHost = 255;
// The most pairs of host and port for which a session is stored.
constexpr std::size_t kMostSessions = 64;

bool is_address(const std::string& host) {
  using Bytes = std::unique_ptr<ASN1_OCTET_STRING, Freed<&ASN1_OCTET_STRING_free>>;
  const Bytes bytes(a2i_IPADDRESS(host.c_str()));
  ERR_clear_error();
  return bytes != nullptr;
}

// Sets the host that the certificate must be for. If the host is a name, also sends it as the SNI
// of the ClientHello. SNI must not contain addresses (RFC 6066 section 3).
bool expect_host(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* const param = SSL_get0_param(ssl);
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

std::error_code trust(SSL_CTX* context, const ClientOptions& options) {
  if (!options.verify) return {};
  if (!is_c_string(options.ca_file)) return std::make_error_code(std::errc::invalid_argument);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  const int done = options.ca_file.empty()
                       ? SSL_CTX_set_default_verify_paths(context)
                       : SSL_CTX_load_verify_file(context, options.ca_file.c_str());
  return done == 1 ? std::error_code{} : take_error();
}

}  // namespace

struct ClientContext::Hooks {
  // Stores a new session. Returns 0, which means that OpenSSL keeps its reference; keep() takes one
  // of its own. If there is no memory to keep the session, the next connection to this host and
  // port does a full handshake.
  static int on_session(SSL* ssl, SSL_SESSION* session) noexcept {
    auto* const self = static_cast<ClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    try {
      self->keep(SslTransport::of(ssl).service(), session);
    } catch (const std::bad_alloc&) {
    }
    return 0;
  }
};

void ClientContext::FreeSession::operator()(ssl_session_st* session) const noexcept {
  SSL_SESSION_free(session);
}

ClientContext::ClientContext(ssl_ctx_st* context, const ClientOptions& options)
    : context_(context), handshake_timeout_(options.handshake_timeout) {
  REACTOR_CHECK(handshake_timeout_ > Duration::zero());
}

ClientContext::~ClientContext() { SSL_CTX_free(context_); }

Result<std::unique_ptr<ClientContext>> ClientContext::make(const ClientOptions& options) {
  Result<SslCtxPtr> owner = make_context(TLS_client_method(), options.groups);
  if (!owner) return owner.error();
  SSL_CTX* const raw = owner->get();
  std::unique_ptr<ClientContext> context(new ClientContext(owner->release(), options));
  ERR_clear_error();
  if (const std::error_code error = trust(raw, options)) return error;
  const Result<std::string> protocols = protocol_list(options.protocols);
  if (!protocols) return protocols.error();
  if (!protocols->empty()) {  // 0 is success
    const auto size = static_cast<unsigned>(protocols->size());
    if (SSL_CTX_set_alpn_protos(raw, raw_bytes(*protocols), size) != 0) return take_error();
  }
  if (SSL_CTX_set_min_proto_version(raw, static_cast<int>(options.least_version)) != 1) {
    return take_error();
  }
  if (options.resumption) {
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(raw, context.get());
    SSL_CTX_sess_set_new_cb(raw, &Hooks::on_session);
  }
  return context;
}

std::vector<ClientContext::Session>::iterator ClientContext::find(const std::string& service) {
  return std::find_if(sessions_.begin(), sessions_.end(),
                      [&](const Session& one) { return one.service == service; });
}

void ClientContext::keep(const std::string& service, ssl_session_st* session) {
  Session kept{service, {}};
  if (const auto found = find(service); found != sessions_.end()) {
    sessions_.erase(found);
  } else if (sessions_.size() == kMostSessions) {
    sessions_.erase(sessions_.begin());
  }
  SSL_SESSION_up_ref(session);
  kept.session.reset(session);
  sessions_.push_back(std::move(kept));
}

Result<> ClientContext::secure(Stream& stream, std::string_view host) {
  const Result<Address> peer = stream.peer();
  Result<std::unique_ptr<Transport>> transport = transport_for(host, peer ? peer->port() : 0);
  if (!transport) return transport.error();
  stream.set_transport(std::move(*transport));
  return {};
}

Result<std::unique_ptr<Transport>> ClientContext::transport_for(std::string_view host,
                                                                std::uint16_t port) {
  if (host.ends_with('.')) host.remove_suffix(1);
  // A name with a leading dot would make OpenSSL accept every name below it (X509_check_host(3)).
  const bool is_one = !host.empty() && host.front() != '.' && is_c_string(host);
  if (!is_one || host.size() > kLongestHost) {
    return Errc::bad_host;
  }
  SslPtr ssl(made(SSL_new(context_)));
  SSL_set_connect_state(ssl.get());
  const std::string name(host);
  if (!expect_host(ssl.get(), name)) {
    ERR_clear_error();
    return Errc::bad_host;
  }
  std::string service = name + ":" + std::to_string(port);
  if (const auto found = find(service); found != sessions_.end()) {
    // If this fails, the connection does a full handshake.
    if (SSL_set_session(ssl.get(), found->session.get()) != 1) ERR_clear_error();
    // A ticket of TLS 1.3 is used for one connection only, so that an observer can't link two
    // connections to one client (RFC 8446 appendix C.4). The server sends new tickets.
    if (SSL_SESSION_get_protocol_version(found->session.get()) == TLS1_3_VERSION) {
      sessions_.erase(found);
    }
  }
  return std::unique_ptr<Transport>(
      std::make_unique<SslTransport>(std::move(ssl), handshake_timeout_, std::move(service)));
}

}  // namespace reactor::tls
