// SPDX-License-Identifier: MIT
// Credentials prove a server's identity: its certificates and private key.
#pragma once

#include <chrono>
#include <string>

#include "reactor/base/result.h"

namespace reactor::tls {

// The time in which certificates are valid, both ends included, in whole seconds.
struct Validity {
  std::chrono::system_clock::time_point from, until;
};

// Credentials is a plain value. It contains the private key.
struct Credentials {
  std::string certificates;  // PEM: the server's certificate, then the intermediate ones
  std::string key;           // PEM: its private key, not encrypted

  // Reads and checks two files of at most 1 MiB each. ServerContext::make() takes the result. If
  // both parts are in one file, pass its name twice. The call blocks: use it at start or reload,
  // before privileges are dropped.
  // Errors: those of open(2) and read(2); file_too_large; Errc::no_certificate, no_key,
  // encrypted_key, key_mismatch; those of OpenSSL. If `culprit` is not null, an error sets it to
  // the name of the file that caused it.
  [[nodiscard]] static Result<Credentials> read(const std::string& certificate_file,
                                                const std::string& key_file,
                                                std::string* culprit = nullptr);

  // Returns the time in which all of `certificates` are valid. read() also accepts certificates
  // that are not valid now; the application decides whether to use them. Errors:
  // Errc::no_certificate, or an error of OpenSSL if it can't read one of them.
  [[nodiscard]] Result<Validity> validity() const;
};

}  // namespace reactor::tls
