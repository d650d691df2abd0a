// SPDX-License-Identifier: MIT
#include "servers/tls.h"

#include "reactor/tls/error.h"
#include "reactor/tls/server_context.h"
#include "servers/values.h"

namespace servers {
namespace {

namespace tls = reactor::tls;

std::string remedy_for(std::error_code error) {
  if (error == tls::Errc::encrypted_key) {
    return "decrypt it (openssl pkey -in KEY -out PLAIN), for this user only";
  }
  if (error == tls::Errc::key_mismatch) return "give the key that the certificate was made for";
  if (error == tls::Errc::no_certificate) {
    return "give the server's certificate, and then those between it and a known one";
  }
  return "give a file in PEM form that this user may read";
}

}  // namespace

bool has_tls() noexcept { return true; }

Tls read_tls(const std::string& certificate_file, const std::string& key_file) {
  if (certificate_file.empty() && key_file.empty()) return {};
  if (key_file.empty()) {
    throw BadValue("--tls-cert", certificate_file, "no key is given", "name it by --tls-key FILE");
  }
  if (certificate_file.empty()) {
    throw BadValue("--tls-key", key_file, "no certificate is given", "name it by --tls-cert FILE");
  }
  std::string culprit;
  auto credentials = tls::Credentials::read(certificate_file, key_file, &culprit);
  if (credentials) {
    return {std::move(credentials->certificates), std::move(credentials->key),
            tls::new_ticket_key()};
  }
  throw BadValue(culprit == certificate_file ? "--tls-cert" : "--tls-key", culprit,
                 credentials.error().message(), remedy_for(credentials.error()));
}

std::unique_ptr<reactor::TransportFactory> make_transports(
    const Tls& tls, const std::vector<std::string>& protocols) {
  if (tls.certificates.empty()) return nullptr;
  return tls::ServerContext::make({.credentials = {tls.certificates, tls.key},
                                   .protocols = protocols,
                                   .ticket_key = tls.ticket_key})
      .value();
}

}  // namespace servers
