// SPDX-License-Identifier: MIT
#include "reactor/tls/credentials.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"
#include "reactor/base/unique_fd.h"
#include "reactor/tls/groups.h"
#include "reactor/tls/internal/install.h"
#include "reactor/tls/tls_error.h"

namespace reactor::tls {
namespace {

constexpr std::size_t kMostBytes = 1U << 20;

Result<std::string> content_of(const std::string& path) {
  if (!is_c_string(path)) return std::make_error_code(std::errc::invalid_argument);
  // O_NONBLOCK, because a FIFO would block a running server.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return last_system_error();
  std::string content;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0) return last_system_error();
    if (count == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(count));
    if (content.size() > kMostBytes) return std::make_error_code(std::errc::file_too_large);
  }
}

// OpenSSL keeps one error queue per thread, for all code. So it is cleared before and after our
// calls. Otherwise our code could take an error of other code for its own, or other code one of
// ours.
struct CleanErrors {
  CleanErrors() { ERR_clear_error(); }
  ~CleanErrors() { ERR_clear_error(); }
  CleanErrors(const CleanErrors&) = delete;
  CleanErrors& operator=(const CleanErrors&) = delete;
};

BioPtr reader_of(const std::string& text) {
  return BioPtr(made(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))));
}

// Refuses to give a pass phrase, so that OpenSSL does not ask at the terminal.
int no_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// Returns whether the last error only says that there is no more to read.
bool at_end() {
  const unsigned long code = ERR_peek_last_error();
  return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

Result<X509Ptr> install_certificates(SSL_CTX* context, const std::string& text) {
  const BioPtr bio = reader_of(text);
  bool asked = false;
  X509Ptr first(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_pass_phrase, &asked));
  if (first == nullptr) return at_end() ? make_error_code(Errc::no_certificate) : take_error();
  if (SSL_CTX_use_certificate(context, first.get()) != 1) return take_error();
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, &asked)) {
    if (SSL_CTX_add0_chain_cert(context, next) == 1) continue;
    X509_free(next);
    return take_error();
  }
  if (!at_end()) return take_error();
  return first;
}

Result<std::chrono::system_clock::time_point> point_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return take_error();
  using std::chrono::system_clock;
  // A certificate that never expires is valid until the end of 9999 (RFC 5280 section 4.1.2.5), but
  // a time_point ends in the year 2262. Later times become that end.
  const std::chrono::seconds since_epoch(::timegm(&parts));
  constexpr auto kFirst = std::chrono::ceil<std::chrono::seconds>(system_clock::time_point::min());
  constexpr auto kLast = std::chrono::floor<std::chrono::seconds>(system_clock::time_point::max());
  return system_clock::time_point(std::clamp(std::chrono::sys_seconds(since_epoch), kFirst, kLast));
}

Result<> install_key(SSL_CTX* context, X509* certificate, const std::string& text) {
  const BioPtr bio = reader_of(text);
  bool asked = false;
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, &asked));
  if (key == nullptr) return asked ? Errc::encrypted_key : Errc::no_key;
  if (X509_check_private_key(certificate, key.get()) != 1) return Errc::key_mismatch;
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return take_error();
  return {};
}

}  // namespace

Result<> install(SSL_CTX* context, const Credentials& credentials, Half& half) {
  const CleanErrors clean;
  const auto certificate = install_certificates(context, credentials.certificates);
  if (!certificate) return certificate.error();
  half = Half::key;
  return install_key(context, certificate->get(), credentials.key);
}

Result<Credentials> Credentials::read(const std::string& certificate_file,
                                      const std::string& key_file, std::string* culprit) {
  const auto blame = [&](const std::string& file, std::error_code error) {
    if (culprit != nullptr) *culprit = file;
    return error;
  };
  Result<std::string> certificates = content_of(certificate_file);
  if (!certificates) return blame(certificate_file, certificates.error());
  Result<std::string> key = content_of(key_file);
  if (!key) return blame(key_file, key.error());
  Credentials credentials{std::move(*certificates), std::move(*key)};
  Half half{};
  const Result<SslCtxPtr> context = make_context(TLS_server_method(), kDefaultGroups);
  if (!context) return context.error();
  const Result<> installed = install(context->get(), credentials, half);
  if (installed) return credentials;
  return blame(half == Half::key ? key_file : certificate_file, installed.error());
}

Result<Validity> Credentials::validity() const {
  const CleanErrors clean;
  const BioPtr bio = reader_of(certificates);
  bool asked = false;
  Validity whole{std::chrono::system_clock::time_point::min(),
                 std::chrono::system_clock::time_point::max()};
  std::size_t count = 0;
  while (const X509Ptr one{PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, &asked)}) {
    const auto from = point_of(X509_get0_notBefore(one.get()));
    const auto until = point_of(X509_get0_notAfter(one.get()));
    if (!from || !until) return from ? until.error() : from.error();
    whole = {std::max(whole.from, *from), std::min(whole.until, *until)};
    ++count;
  }
  if (!at_end()) return take_error();
  if (count == 0) return Errc::no_certificate;
  return whole;
}

}  // namespace reactor::tls
