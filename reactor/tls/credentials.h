// SPDX-License-Identifier: MIT
// Credentials: by which a server proves who it is.
#pragma once

#include <string>

#include "reactor/base/result.h"

namespace reactor::tls {

// A value, with the private key in it.
struct Credentials {
  std::string certificates;  // PEM: the server's own, then those between it and a known one
  std::string key;           // PEM: the private key of the first, not encrypted

  // The two files, of at most 1 MiB, checked: ServerContext::make() takes what they hold. Both may
  // be in one file; then give it twice. Reads at once: for a start or a reload, before rights are
  // given up. Errors, of which `culprit`, where given, names the file: those of open(2) and
  // read(2); file_too_large; Errc::no_certificate, no_key, encrypted_key, key_mismatch; what
  // OpenSSL has against them.
  [[nodiscard]] static Result<Credentials> read(const std::string& certificate_file,
                                                const std::string& key_file,
                                                std::string* culprit = nullptr);
};

}  // namespace reactor::tls
