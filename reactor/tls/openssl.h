// SPDX-License-Identifier: MIT
// What the files of this layer share of OpenSSL: owners, and its errors as codes.
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

// `object`, which OpenSSL made. Throws std::bad_alloc where it is null: there is no other reason.
template <class T>
[[nodiscard]] T* made(T* object) {
  if (object == nullptr) throw std::bad_alloc();
  return object;
}

// The error that is in OpenSSL's queue of this thread, which is empty afterwards.
[[nodiscard]] std::error_code take_error() noexcept;
// `result` is one of X509_STORE_CTX_get_error(3), not X509_V_OK.
[[nodiscard]] std::error_code verification_error(long result) noexcept;

// A context with the settings that both sides share: version 1.2 or later, in 1.2 only forward
// secrecy by ECDHE and authenticated ciphers. `groups` see ServerOptions::groups.
// Errors: Errc::bad_groups.
[[nodiscard]] Result<SslCtxPtr> make_context(const SSL_METHOD* method, const std::string& groups);

// The names one after the other, each after its length (RFC 7301 section 3.1).
[[nodiscard]] Result<std::string> protocol_list(const std::vector<std::string>& names);

[[nodiscard]] inline const unsigned char* octets(const std::string& text) noexcept {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace reactor::tls
