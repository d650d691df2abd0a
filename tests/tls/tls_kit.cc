// SPDX-License-Identifier: MIT
#include "tests/tls/tls_kit.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace reactor::tls {
namespace {

SSL* peer(const SSL_METHOD* method, int version) {
  SSL_CTX* const context = SSL_CTX_new(method);
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_max_proto_version(context, version);
  const PemFiles& files = Authority::localhost();
  EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM), 1);
  SSL* const ssl = SSL_new(context);
  SSL_CTX_free(context);
  return ssl;
}

}  // namespace

SSL* peer_client(int version, const std::string& name) {
  SSL* const ssl = peer(TLS_client_method(), version);
  SSL_set_connect_state(ssl);
  if (!name.empty()) SSL_set_tlsext_host_name(ssl, name.c_str());
  return ssl;
}

SSL* peer_server(int version) {
  SSL* const ssl = peer(TLS_server_method(), version);
  SSL_set_accept_state(ssl);
  return ssl;
}

TlsPeer::TlsPeer(UniqueFd descriptor, SSL* side) : ssl(side) {
  socket.fd = std::move(descriptor);
  if (ssl == nullptr) return;
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(in, -1);
  SSL_set_bio(ssl, in, out);
}

void TlsPeer::take(int returned) {
  const int kind = SSL_get_error(ssl, returned);
  if (kind == SSL_ERROR_ZERO_RETURN) end = true;
  if (kind != SSL_ERROR_SSL || !failure.empty()) return;
  failure = ERR_reason_error_string(ERR_peek_error());
}

void TlsPeer::flush() {
  if (ssl != nullptr) {
    std::array<char, 16384> buffer;
    for (int count = 0; (count = BIO_read(SSL_get_wbio(ssl), buffer.data(), buffer.size())) > 0;) {
      out_.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
  if (socket.fd) out_.erase(0, socket.write(out_));
  if (ending_ && !ended_ && out_.empty() && text_.empty()) {
    ended_ = true;
    ::shutdown(socket.fd.get(), SHUT_WR);
  }
}

void TlsPeer::read() {
  ERR_clear_error();
  if (socket.fd) socket.read();
  if (ssl == nullptr) {
    got += std::exchange(socket.got, {});
    end = socket.end;
    flush();
    return;
  }
  const std::string received = std::exchange(socket.got, {});
  BIO_write(SSL_get_rbio(ssl), received.data(), static_cast<int>(received.size()));
  const int returned = SSL_do_handshake(ssl);
  if (returned != 1) {
    take(returned);
  } else {
    if (!text_.empty()) SSL_write(ssl, text_.data(), static_cast<int>(text_.size()));
    text_.clear();
    if (ending_ && (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN) == 0) SSL_shutdown(ssl);
    std::array<char, 16384> buffer;
    int count = 0;
    while ((count = SSL_read(ssl, buffer.data(), buffer.size())) > 0) {
      got.append(buffer.data(), static_cast<std::size_t>(count));
    }
    take(count);
  }
  flush();
}

void TlsPeer::write(std::string_view text) {
  (ssl == nullptr ? out_ : text_) += text;
  read();
}

void TlsPeer::end_writing() {
  ending_ = true;
  read();
}

std::unique_ptr<ServerContext> make_server(ServerOptions options) {
  if (options.credentials.key.empty()) options.credentials = Authority::localhost().credentials();
  return get(ServerContext::make(options));
}

std::unique_ptr<ClientContext> make_client(ClientOptions options) {
  if (options.ca_file.empty()) options.ca_file = Authority::known().file();
  return get(ClientContext::make(options));
}

TlsLink::TlsLink(Loop& loop, Carrier carrier, StreamOptions settings, FdPair (*make)())
    : options(std::move(settings)) {
  Link link(loop, options, make);  // used for its sockets only
  const bool plain = carrier == Carrier::plain;
  const bool serves = carrier == Carrier::server_v1_2 || carrier == Carrier::server_v1_3;
  const int version = carrier == Carrier::server_v1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
  SSL* side = nullptr;
  if (!plain) side = serves ? peer_client(version) : peer_server(version);
  peer = std::make_unique<TlsPeer>(std::move(link.peer.fd), side);
  UniqueFd near(::fcntl(link.stream->fd(), F_DUPFD_CLOEXEC, 0));
  stream = std::make_unique<Stream>(loop, Socket(std::move(near)), handler, options);
  if (plain) return;
  if (serves) {
    server = make_server();
    stream->set_transport(server->make_transport());
  } else {
    client = make_client();
    client->secure(*stream, "localhost").value();
  }
}

void TlsLink::start(Loop& loop) {
  stream->start();
  EXPECT_TRUE(pump(loop, [&] { return peer->read(), handler.opens + handler.closes > 0; }));
}

}  // namespace reactor::tls
