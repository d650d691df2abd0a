// SPDX-License-Identifier: MIT
#pragma once

#include "reactor/tls/internal/ssl_transport.h"

namespace reactor::tls {

// SocketBio is the BIO of an SslTransport (BIO_meth_new(3)). It calls the transport's receive() and
// send(), which use the descriptor that the Stream passed to the running open(), read(), write() or
// end_writing().
struct SocketBio {
  [[nodiscard]] static BioPtr make(SslTransport& transport);

  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* written) noexcept;
  static int read(BIO* bio, char* data, std::size_t size, std::size_t* count) noexcept;
  static long control(BIO* bio, int command, long number, void* pointer) noexcept;
};

}  // namespace reactor::tls
