// SPDX-License-Identifier: MIT
// Credentials: by which a server proves who it is.
#pragma once

#include <chrono>
#include <string>

#include "reactor/base/result.h"

namespace reactor::tls {

// From when until when certificates are valid, both included, in whole seconds.
struct Validity {
  std::chrono::system_clock::time_point from, until;
};

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

  // The time in which all of `certificates` are valid. read() takes those that are not, too: what
  // to do about it is the application's business. Errors: Errc::no_certificate, or what OpenSSL has
  // against one of them.
  [[nodiscard]] Result<Validity> validity() const;
};

}  // namespace reactor::tls
