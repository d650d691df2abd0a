// SPDX-License-Identifier: MIT
// tls::Errc lists the library's own errors of TLS. Their category also has the errors of OpenSSL
// and those of certificate verification. Errors of the system keep their errno value in
// std::system_category().
#pragma once

#include <system_error>

namespace reactor::tls {

enum class Errc {
  truncated = 1,   // the connection ended without close_notify: data may be missing
  no_certificate,  // the text has no certificate in PEM form
  no_key,          // the text has no private key in PEM form
  encrypted_key,   // the private key needs a pass phrase
  key_mismatch,    // the private key belongs to another certificate
  bad_host,        // not a name or address: empty, too long, with a NUL byte or a leading dot
  bad_protocol,    // an ALPN name is empty or longer than 255 bytes
  bad_ticket_key,  // the key does not have kTicketKeySize bytes
  failed,          // OpenSSL gave no reason
  bad_groups,      // a list of key-exchange groups is empty or has an unknown name
};

// Returns the category of Errc, named "tls". Its other values are OpenSSL's packed error codes
// (ERR_get_error(3)) and those of X509_STORE_CTX_get_error(3), see is_verification(). message()
// returns their texts.
[[nodiscard]] const std::error_category& category() noexcept;

[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

// Returns whether `error` says that this side did not accept a certificate. If the peer does not
// accept ours, it sends an alert, which arrives as an error of OpenSSL.
[[nodiscard]] bool is_verification(std::error_code error) noexcept;

}  // namespace reactor::tls

template <>
struct std::is_error_code_enum<reactor::tls::Errc> : std::true_type {};
