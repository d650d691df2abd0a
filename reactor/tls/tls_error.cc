// SPDX-License-Identifier: MIT
#include "reactor/tls/tls_error.h"

#include <openssl/x509_vfy.h>

#include <array>
#include <climits>
#include <string>

#include "reactor/base/error.h"
#include "reactor/tls/internal/openssl.h"

namespace reactor::tls {
namespace {

// Verification errors are numbered from here: above Errc, and below OpenSSL's codes, whose library
// number is not 0 (ERR_PACK(3)).
constexpr int kFirstVerification = 0x1000;
constexpr int kFirstOpenssl = 1 << ERR_LIB_OFFSET;

std::string reason_of(int value) {
  const auto code = static_cast<unsigned long>(value);
  if (const char* const reason = ERR_reason_error_string(code)) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "tls"; }

  [[nodiscard]] std::string message(int value) const override {
    if (value >= kFirstOpenssl) return "TLS: " + reason_of(value);
    if (value >= kFirstVerification) {
      return std::string("certificate not accepted: ") +
             X509_verify_cert_error_string(value - kFirstVerification);
    }
    switch (static_cast<Errc>(value)) {
      case Errc::truncated:
        return "TLS: the connection ended without close_notify";
      case Errc::no_certificate:
        return "no certificate in PEM form";
      case Errc::no_key:
        return "no private key in PEM form";
      case Errc::encrypted_key:
        return "the private key is encrypted";
      case Errc::key_mismatch:
        return "the private key does not belong to the certificate";
      case Errc::bad_host:
        return "neither a host name nor an address";
      case Errc::bad_protocol:
        return "the name of a protocol (ALPN) has 1 to 255 bytes";
      case Errc::bad_ticket_key:
        return "a key for session tickets has 80 bytes";
      case Errc::bad_groups:
        return "not a list of key-exchange groups that OpenSSL knows";
      case Errc::failed:
        return "TLS: failed for no known reason";
    }
    return "unknown TLS error " + std::to_string(value);
  }
};

}  // namespace

const std::error_category& category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), category()}; }

bool is_verification(std::error_code error) noexcept {
  return error.category() == category() && error.value() >= kFirstVerification &&
         error.value() < kFirstOpenssl;
}

// If the queue has several errors, prefers one of the SSL library, which says the most. Otherwise
// takes the first, because the others are its consequences.
std::error_code take_error() noexcept {
  unsigned long code = ERR_get_error();
  for (unsigned long next = code; next != 0; next = ERR_get_error()) {
    if (ERR_GET_LIB(next) == ERR_LIB_SSL) code = next;
  }
  if (ERR_SYSTEM_ERROR(code)) return system_error(ERR_GET_REASON(code));
  if (code < kFirstOpenssl || code > INT_MAX) return Errc::failed;
  if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
      ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return Errc::truncated;
  }
  return {static_cast<int>(code), category()};
}

std::error_code verification_error(long result) noexcept {
  return {kFirstVerification + static_cast<int>(result), category()};
}

}  // namespace reactor::tls
