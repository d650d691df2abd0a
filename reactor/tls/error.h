// SPDX-License-Identifier: MIT
// The errors of TLS: ours, those of OpenSSL and those of a certificate's verification, in one
// category. What the system reports keeps its errno, in std::system_category().
#pragma once

#include <system_error>

namespace reactor::tls {

enum class Errc {
  truncated = 1,   // the connection ended without close_notify: something may be missing
  no_certificate,  // no certificate in PEM form where there has to be one
  no_key,          // no private key in PEM form
  encrypted_key,   // the private key needs a pass phrase
  key_mismatch,    // the private key is another certificate's
  bad_host,        // no name or address to verify: empty, too long, with a NUL or a dot first
  bad_protocol,    // an ALPN name that is empty or longer than 255 octets
  bad_ticket_key,  // not kTicketKeySize octets
  failed,          // OpenSSL gave no reason
  bad_groups,  // a list of key-exchange groups that is empty, or has a name OpenSSL doesn't know
};

// Category of Errc, name "tls". Its other values are OpenSSL's packed error codes
// (ERR_get_error(3)) and, by is_verification(), those of X509_STORE_CTX_get_error(3); message()
// gives their texts.
[[nodiscard]] const std::error_category& category() noexcept;

[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

// Whether `error` says that a certificate was not accepted here; the peer's opinion of ours is an
// alert, and so an error of OpenSSL's.
[[nodiscard]] bool is_verification(std::error_code error) noexcept;

}  // namespace reactor::tls

template <>
struct std::is_error_code_enum<reactor::tls::Errc> : std::true_type {};
