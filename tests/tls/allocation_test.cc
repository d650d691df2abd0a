// SPDX-License-Identifier: MIT
// Calls of OpenSSL that fail for lack of memory: a setting is made or an error is told.
#include <openssl/crypto.h>

#include <cstdlib>
#include <new>

#include "tests/tls/tls_kit.h"

namespace reactor::tls {
namespace {

long g_count = 0;    // of OpenSSL's allocations
long g_failing = 0;  // number of the one that fails; 0: none

bool fails_now() noexcept { return ++g_count == g_failing; }

void* allocate(std::size_t size, const char*, int) noexcept {
  return fails_now() ? nullptr : std::malloc(size);
}
void* reallocate(void* block, std::size_t size, const char*, int) noexcept {
  return fails_now() ? nullptr : std::realloc(block, size);
}
void release(void* block, const char*, int) noexcept { std::free(block); }

// Has to come before OpenSSL's first allocation.
const int g_hooked = CRYPTO_set_mem_functions(&allocate, &reallocate, &release);

// Fails the `nth` allocation of OpenSSL from now on.
void fail_after(long nth) { g_failing = g_count + nth; }

class TlsAllocations : public LoopTest {
 protected:
  void SetUp() override { ASSERT_EQ(g_hooked, 1); }
  void TearDown() override { g_failing = 0; }
};

INSTANTIATE_TEST_SUITE_P(Backends, TlsAllocations, every_backend(), BackendName());

// A Stream and its peer, and the end of their handshake.
class Handshake {
 public:
  Handshake(Loop& loop, SSL* peer) : link_(loop) {
    UniqueFd near(::dup(link_.stream->fd()));
    stream = std::make_unique<Stream>(loop, Socket(std::move(near)), link_.handler, link_.options);
    peer_ = std::make_unique<TlsPeer>(std::move(link_.peer.fd), peer);
    link_.stream.reset();
  }
  // Returns whether it succeeds.
  bool run(Loop& loop) {
    stream->start();
    EXPECT_TRUE(pump(loop, [&] {
      peer_->read();
      const bool opened = link_.handler.opens > 0 && SSL_is_init_finished(peer_->ssl) == 1;
      return opened || link_.handler.closes > 0;
    }));
    return link_.handler.opens > 0;
  }
  [[nodiscard]] std::string_view protocol_of_peer() const {
    const unsigned char* text = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(peer_->ssl, &text, &size);
    return {reinterpret_cast<const char*>(text), size};
  }

  std::unique_ptr<Stream> stream;

 private:
  Link link_;
  std::unique_ptr<TlsPeer> peer_;
};

int note_offer(SSL*, const unsigned char**, unsigned char*, const unsigned char*, unsigned,
               void* offered) {
  *static_cast<bool*>(offered) = true;
  return SSL_TLSEXT_ERR_NOACK;
}

// Makes a client's context while the `nth` allocation fails; null if that was an error.
std::unique_ptr<ClientContext> make_client_failing(long nth) {
  const ClientOptions options{.ca_file = Authority::known().file(), .protocols = {"echo"}};
  fail_after(nth);
  std::unique_ptr<ClientContext> context;
  try {
    if (auto made = ClientContext::make(options)) context = std::move(*made);
  } catch (const std::bad_alloc&) {
  }
  g_failing = 0;
  return context;
}

TEST_P(TlsAllocations, AClientOffersItsProtocolsOrHasNoContext) {
  ASSERT_NE(make_client_failing(0), nullptr);  // OpenSSL keeps some of its memory from here on
  const long before = g_count;
  ASSERT_NE(make_client_failing(0), nullptr);
  const long count = g_count - before;
  // The protocols are among the last settings.
  for (long nth = std::max(count - 10, 1L); nth <= count; ++nth) {
    const auto client = make_client_failing(nth);
    if (client == nullptr) continue;
    Loop loop(options());
    SSL* const side = peer_server(TLS1_3_VERSION);
    bool offered = false;
    SSL_CTX_set_alpn_select_cb(SSL_get_SSL_CTX(side), &note_offer, &offered);
    Handshake handshake(loop, side);
    ASSERT_TRUE(client->secure(*handshake.stream, "localhost"));
    static_cast<void>(handshake.run(loop));  // fails if the context trusts no certificate
    EXPECT_TRUE(offered) << "allocation " << nth << " of " << count;
  }
}

TEST_P(TlsAllocations, AServerUsesThePickedContextOrNone) {
  const auto picked = make_server({.protocols = {"picked"}});
  for (long nth = 1; nth <= 5; ++nth) {
    const auto server = make_server({.protocols = {"default"}});
    server->set_picker([&](std::string_view) {
      fail_after(nth);
      return picked.get();
    });
    Loop loop(options());
    SSL* const side = peer_client(TLS1_3_VERSION);
    constexpr std::string_view kOffer =
        "\x07"
        "default"
        "\x06"
        "picked";
    SSL_set_alpn_protos(side, reinterpret_cast<const unsigned char*>(kOffer.data()),
                        static_cast<unsigned>(kOffer.size()));
    Handshake handshake(loop, side);
    handshake.stream->set_transport(server->make_transport());
    const bool succeeds = handshake.run(loop);
    g_failing = 0;
    EXPECT_TRUE(!succeeds || handshake.protocol_of_peer() == "picked") << "allocation " << nth;
  }
}

}  // namespace
}  // namespace reactor::tls
