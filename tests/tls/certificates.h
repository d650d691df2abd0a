// SPDX-License-Identifier: MIT
// Certificates for tests. They are made at run time, in files of a folder that is removed when the
// program ends.
#pragma once

#include <openssl/evp.h>

#include <string>

#include "reactor/tls/credentials.h"

namespace reactor::tls {

struct Wanted {
  std::string name = "localhost";     // DNS name; empty: none
  std::string address = "127.0.0.1";  // IP address; empty: none
  int from = -1, until = 1;           // days from now
};

struct PemFiles {
  std::string certificate, key;
  [[nodiscard]] Credentials credentials() const;
};

// A certification authority with a key of its own.
class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  [[nodiscard]] PemFiles issue(const Wanted& wanted = {}) const;
  // The file with its own certificate.
  [[nodiscard]] const std::string& file() const { return file_; }

  // The authority that most tests trust, and its certificate for localhost.
  [[nodiscard]] static const Authority& known();
  [[nodiscard]] static const PemFiles& localhost();

 private:
  EVP_PKEY* key_;
  X509* certificate_;
  std::string file_;
};

// Writes `content` to a new file and returns the file's path.
[[nodiscard]] std::string temporary_file(const std::string& content);

// Returns the path of a file with the private key of `file`, encrypted with a pass phrase.
[[nodiscard]] std::string encrypted(const std::string& file);

}  // namespace reactor::tls
