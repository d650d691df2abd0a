// SPDX-License-Identifier: MIT
#include "reactor/tls/internal/socket_bio.h"

namespace reactor::tls {
namespace {

BIO_METHOD* make_method() {
  BIO_METHOD* const method =
      made(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "reactor"));
  BIO_meth_set_write_ex(method, &SocketBio::write);
  BIO_meth_set_read_ex(method, &SocketBio::read);
  BIO_meth_set_ctrl(method, &SocketBio::control);
  return method;
}

SslTransport& transport_of(BIO* bio) noexcept {
  return *static_cast<SslTransport*>(BIO_get_data(bio));
}

}  // namespace

BioPtr SocketBio::make(SslTransport& transport) {
  static BIO_METHOD* const method = make_method();  // never freed
  BioPtr bio(made(BIO_new(method)));
  BIO_set_data(bio.get(), &transport);
  BIO_set_init(bio.get(), 1);
  return bio;
}

int SocketBio::write(BIO* bio, const char* data, std::size_t size, std::size_t* written) noexcept {
  BIO_clear_retry_flags(bio);
  *written = transport_of(bio).send({data, size}) ? size : 0;
  return *written > 0 ? 1 : 0;
}

int SocketBio::read(BIO* bio, char* data, std::size_t size, std::size_t* count) noexcept {
  SslTransport& transport = transport_of(bio);
  BIO_clear_retry_flags(bio);
  const IoResult result = transport.receive(std::as_writable_bytes(std::span(data, size)));
  *count = result.count();
  if (result.ok()) return 1;
  if (result.would_block()) BIO_set_retry_read(bio);
  transport.socket_ended_ = result.end();
  transport.socket_error_ = result.error();
  return 0;
}

long SocketBio::control(BIO* bio, int command, long, void*) noexcept {
  if (command == BIO_CTRL_EOF) return transport_of(bio).socket_ended_ ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;  // nothing is buffered here
}

}  // namespace reactor::tls
