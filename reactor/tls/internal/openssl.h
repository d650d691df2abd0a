// SPDX-License-Identifier: MIT
// This header has smart pointers for OpenSSL's objects, and its errors as codes, for the files of
// this layer.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "reactor/base/result.h"

namespace reactor::tls {

template <auto kFree>
struct Freed {
  template <class T>
  void operator()(T* object) const noexcept {
    kFree(object);
  }
};

using SslCtxPtr = std::unique_ptr<SSL_CTX, Freed<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freed<&SSL_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<&BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, Freed<&X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<&EVP_PKEY_free>>;

// Returns `object`, which OpenSSL has just made. Throws std::bad_alloc if it is null, because lack
// of memory is the only reason.
template <class T>
[[nodiscard]] T* made(T* object) {
  if (object == nullptr) throw std::bad_alloc();
  return object;
}

// Returns the error in this thread's OpenSSL queue, and empties the queue.
[[nodiscard]] std::error_code take_error() noexcept;
// Returns the code for `result`, a value of X509_STORE_CTX_get_error(3) other than X509_V_OK.
[[nodiscard]] std::error_code verification_error(long result) noexcept;

// Makes a context with the settings that both sides share: TLS 1.2 or later; in 1.2 only ECDHE, for
// forward secrecy, and authenticated ciphers. `groups`: see ServerOptions::groups.
// Errors: Errc::bad_groups.
[[nodiscard]] Result<SslCtxPtr> make_context(const SSL_METHOD* method, const std::string& groups);

// Returns the names one after the other, each preceded by its length (RFC 7301 section 3.1).
// Errors: Errc::bad_protocol.
[[nodiscard]] Result<std::string> protocol_list(const std::vector<std::string>& names);

[[nodiscard]] inline const unsigned char* raw_bytes(const std::string& text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace reactor::tls
