// SPDX-License-Identifier: MIT
#include "servers/tls.h"

#include <array>
#include <chrono>
#include <ctime>

#include "reactor/base/printable.h"
#include "reactor/tls/groups.h"
#include "reactor/tls/server_context.h"
#include "reactor/tls/tls_error.h"
#include "servers/settings/brief.h"
#include "servers/settings/values.h"

namespace servers {
namespace {

namespace tls = reactor::tls;

std::string remedy_for(std::error_code error) {
  if (error == tls::Errc::encrypted_key) {
    return "decrypt it (openssl pkey -in KEY -out PLAIN), for this user only";
  }
  if (error == tls::Errc::key_mismatch) return "give the key that the certificate was made for";
  if (error == tls::Errc::no_certificate) {
    return "give the server's certificate, then the intermediate ones";
  }
  return "give a file in PEM form that this user may read";
}

void check_groups(const std::string& groups) {
  std::string culprit;
  if (tls::check_groups(groups, &culprit)) return;
  throw BadValue("--tls-groups", groups,
                 culprit.empty() ? "not a list of different groups"
                                 : "OpenSSL knows no group '" + brief(culprit) + "'",
                 "give names with colons between them, like " + default_tls_groups());
}

std::string text_of(std::chrono::system_clock::time_point point) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(point);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text.data();
}

// Returns a warning if clients will refuse the certificate because of its dates; "" otherwise. A
// client that refuses a connection tells its user why, but not the server. So without this warning
// the operator might not learn the reason.
std::string warning_about(const std::string& file, const tls::Credentials& credentials) {
  const auto validity = credentials.validity();
  if (!validity) return {};
  const auto now = std::chrono::system_clock::now();
  const std::string what = "--tls-cert '" + reactor::printable(file) + "': ";
  if (now > validity->until) {
    return what + "expired at " + text_of(validity->until) +
           ", and clients refuse it; renew it and reload (HUP)";
  }
  if (now < validity->from) {
    return what + "not valid before " + text_of(validity->from) +
           ", and clients refuse it; give an earlier one, or set this machine's clock";
  }
  return {};
}

class Transports final : public TlsTransports {
 public:
  explicit Transports(std::unique_ptr<tls::ServerContext> context) : context_(std::move(context)) {}

  std::unique_ptr<reactor::Transport> make_transport() override {
    return context_->make_transport();
  }
  reactor::Result<> renew(const Tls& tls) override {
    return context_->renew({tls.certificates, tls.key});
  }

 private:
  std::unique_ptr<tls::ServerContext> context_;
};

}  // namespace

bool has_tls() noexcept { return true; }

std::string default_tls_groups() { return tls::kDefaultGroups; }

Tls read_tls(const std::string& certificate_file, const std::string& key_file,
             const std::string& groups) {
  check_groups(groups);
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
    std::string warning = warning_about(certificate_file, *credentials);
    return {std::move(credentials->certificates), std::move(credentials->key),
            tls::new_ticket_key(), groups, std::move(warning)};
  }
  throw BadValue(culprit == certificate_file ? "--tls-cert" : "--tls-key", culprit,
                 credentials.error().message(), remedy_for(credentials.error()));
}

std::unique_ptr<TlsTransports> make_transports(const Tls& tls,
                                               const std::vector<std::string>& protocols) {
  if (!tls.on()) return nullptr;
  return std::make_unique<Transports>(
      tls::ServerContext::make({.credentials = {tls.certificates, tls.key},
                                .protocols = protocols,
                                .ticket_key = tls.ticket_key,
                                .groups = tls.groups})
          .value());
}

}  // namespace servers
