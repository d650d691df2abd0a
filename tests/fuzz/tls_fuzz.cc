// SPDX-License-Identifier: MIT
// TLS in front of a Stream, with a peer that sends any bytes as records. The connection must end,
// by an error or by the time limit of its handshake, within a bounded number of turns. The input is
// the bytes that the peer sends.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "reactor/base/log.h"
#include "reactor/net/stream/stream.h"
#include "reactor/tls/server_context.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace reactor;
using fuzz::demand;

constexpr std::size_t kMostPieces = 6;

void ignore_log(void*, LogLevel, std::string_view) noexcept {}

class Handler final : public StreamHandler {
 public:
  void on_open(Stream&) override { demand(false, "no handshake succeeds without a secret"); }
  void on_data(Stream&, std::span<std::byte>) override { demand(false, "and no byte comes"); }
  void on_close(Stream&, std::error_code error) noexcept override { ended = error; }

  std::optional<std::error_code> ended;
};

template <class Write>
std::string pem(Write write) {
  BIO* const bio = BIO_new(BIO_s_mem());
  demand(write(bio) == 1, "a certificate and a key can be written");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string copy(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return copy;
}

// Makes a self-signed certificate for each run, so that no key lies in the tree.
tls::Credentials make_credentials() {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_pubkey(certificate, key);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24L * 60 * 60);
  demand(X509_sign(certificate, key, EVP_sha256()) > 0, "a certificate can be signed");
  tls::Credentials credentials;
  credentials.certificates = pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  credentials.key = pem([&](BIO* bio) {
    return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return credentials;
}

tls::ServerContext& context() {
  static const std::unique_ptr<tls::ServerContext> one = [] {
    tls::ServerOptions options;
    options.credentials = make_credentials();
    return tls::ServerContext::make(options).value();
  }();
  return *one;
}

void discard_input(int fd) {
  std::array<char, 4096> buffer;
  while (::recv(fd, buffer.data(), buffer.size(), 0) > 0) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  set_log_sink(ignore_log, nullptr);
  LoopOptions loop_options;
  loop_options.slow_callback = Duration::zero();
  Loop loop(std::move(loop_options));
  std::array<int, 2> ends{};
  demand(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
         "a pair of sockets");
  UniqueFd peer(ends[1]);
  const StreamOptions options;
  Handler handler;
  Stream stream(loop, Socket(UniqueFd(ends[0])), handler, options);
  stream.set_transport(context().make_transport());
  stream.start();
  fuzz::Draw draw(text);
  std::vector<std::size_t> cuts = draw.cuts(size, kMostPieces);
  cuts.push_back(size);
  std::size_t sent = 0;
  for (const std::size_t cut : cuts) {
    const auto count = ::send(peer.get(), text.data() + sent, cut - sent, MSG_NOSIGNAL);
    sent += count > 0 ? static_cast<std::size_t>(count) : 0;
    loop.poll().value();
    discard_input(peer.get());
  }
  peer.reset();
  for (int turn = 0; turn < 100 && !handler.ended; ++turn) loop.poll().value();
  demand(handler.ended.has_value(), "the connection ends with its peer");
  demand(static_cast<bool>(*handler.ended), "and says that the handshake failed");
  return 0;
}
