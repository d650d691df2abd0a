// SPDX-License-Identifier: MIT
// Peers that break the rules. Each of them causes a clear error, and nothing else.
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "tests/tls/tls_kit.h"

namespace reactor::tls {
namespace {

using std::chrono::milliseconds;
using std::string_literals::operator""s;

class TlsHostile : public LoopTest {
 protected:
  // Returns the error of a server's or client's Stream whose peer sends `text` and then the end.
  static std::error_code answer_to(const std::string& text, bool serves) {
    Loop loop(options());
    const auto server = make_server();
    const auto client = make_client();
    Link link(loop);
    if (serves) {
      link.stream->set_transport(server->make_transport());
    } else {
      client->secure(*link.stream, "localhost").value();
    }
    link.start();
    link.peer.write(text);
    ::shutdown(link.peer.fd.get(), SHUT_WR);
    EXPECT_TRUE(
        pump(loop, [&] { return link.peer.read(), link.handler.closes > 0 && link.peer.over(); }));
    EXPECT_EQ(link.handler.opens, 0);
    EXPECT_EQ(link.handler.ends, 0);
    EXPECT_EQ(link.handler.closes, 1);
    return link.handler.error;
  }
};

TEST_P(TlsHostile, GarbageInPlaceOfAHello) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "TLS: http request"},
      {"CONNECT x:1 HTTP/1.1\r\n\r\n", "TLS: https proxy request"},
      {"hello, is anybody there?", "TLS: wrong version number"},
      {std::string(20000, '\0'), "TLS: wrong version number"},
      {pattern(70000), "TLS: wrong version number"},
      {"\x16\x03\x01\xff\xff"s + std::string(70000, 'x'), "TLS: packet length too long"},
      {"\x16\x03\x01\x00\x04\x01\x00\x00\x00"s, "TLS: length too short"},
      {"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"s, "TLS: unexpected message"},
      {"\x17\x03\x03\x00\x01x"s, "TLS: unexpected message"},
      {"\x15\x03\x03\x00\x02\x02\x28"s, "TLS: unexpected message"},
      {"\x16\x03\x01\x00\x40\x01"s, "TLS: the connection ended without close_notify"},
      {"", "TLS: the connection ended without close_notify"},
  };
  for (const auto& [text, reason] : cases) {
    const std::error_code error = answer_to(text, true);
    EXPECT_EQ(error.category(), category()) << error.message();
    EXPECT_EQ(error.message(), reason) << text.substr(0, 40);
    const std::error_code at_client = answer_to(text, false);
    EXPECT_EQ(at_client.category(), category()) << at_client.message();
    EXPECT_NE(at_client.message(), "");
  }
}

// Changes every seventh byte of a ClientHello, one at a time. Each connection must end with an
// error.
TEST_P(TlsHostile, AHelloWithAnByteChanged) {
  SSL* const ssl = peer_client(TLS1_3_VERSION);
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
  SSL_do_handshake(ssl);
  std::string hello(4096, '\0');
  hello.resize(static_cast<std::size_t>(BIO_read(out, hello.data(), 4096)));
  SSL_free(ssl);
  for (std::size_t at = 0; at < hello.size(); at += 7) {
    std::string changed = hello;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    EXPECT_TRUE(answer_to(changed, true)) << at;
  }
}

TEST_P(TlsHostile, APeerThatGoesInTheMiddleOfTheHandshake) {
  for (const bool reset : {false, true}) {
    Loop loop(options());
    TlsLink link(loop, Carrier::server_v1_3);
    link.peer->read();  // the peer's hello
    link.stream->start();
    run_for(loop, milliseconds(2));
    if (reset) reset_on_close(link.peer->socket.fd.get());
    ::shutdown(link.peer->socket.fd.get(), SHUT_WR);
    if (reset) link.peer->socket.fd.reset();
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_EQ(link.handler.opens, 0);
    if (reset) {
      EXPECT_TRUE(link.handler.error == std::errc::connection_reset ||
                  link.handler.error == Errc::truncated)
          << link.handler.error.message();
    } else {
      EXPECT_EQ(link.handler.error, Errc::truncated);
    }
  }
}

// The Stream delivers the bytes before the end, but does not report the end as a regular one.
TEST_P(TlsHostile, AnEndWithoutCloseNotifyIsAnError) {
  for (const Carrier carrier : {Carrier::server_v1_2, Carrier::client_v1_3}) {
    Loop loop(options());
    TlsLink link(loop, carrier);
    link.start(loop);
    link.peer->write("most of it");
    ::shutdown(link.peer->socket.fd.get(), SHUT_WR);
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_EQ(link.handler.got, "most of it");
    EXPECT_EQ(link.handler.ends, 0);
    EXPECT_EQ(link.handler.error, Errc::truncated);
  }
}

TEST_P(TlsHostile, ARecordThatWasChangedIsAnError) {
  for (const Carrier carrier : {Carrier::server_v1_2, Carrier::server_v1_3}) {
    Loop loop(options());
    TlsLink link(loop, carrier);
    link.start(loop);
    link.peer->write("good");
    EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.handler.got == "good"; }));
    link.peer->socket.write("\x17\x03\x03\x00\x20"s + std::string(32, 'x'));
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_EQ(link.handler.error.message(), "TLS: decryption failed or bad record mac");
    EXPECT_EQ(link.handler.got, "good");
    EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->socket.over(); }));
    EXPECT_NE(link.peer->failure, "") << "the peer is told why";
  }
}

TEST_P(TlsHostile, NewKeysAreTakenInTheMiddleOfATransfer) {
  Loop loop(options());
  TlsLink link(loop, Carrier::server_v1_3);
  link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  link.start(loop);
  const std::string text = pattern(100000);
  for (std::size_t at = 0; at < text.size(); at += 10000) {
    EXPECT_EQ(SSL_key_update(link.peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    link.peer->write(std::string_view(text).substr(at, 10000));
    EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got.size() == at + 10000; }));
  }
  EXPECT_EQ(link.peer->got, text);
}

// Half of a handshake message comes in the middle of a connection. OpenSSL writes nothing until the
// other half has come.
TEST_P(TlsHostile, HalfATicketNeitherSpinsNorSpoilsWhatIsWritten) {
  for (const bool full : {false, true}) {
    Loop loop(options());
    StreamOptions settings;
    settings.high_water = settings.queue_limit = 10000000;  // so that it always reads
    TlsLink link(loop, Carrier::client_v1_3, settings);
    SSL* const ssl = link.peer->ssl;
    SSL_set_num_tickets(ssl, 0);
    SSL_set_max_send_fragment(ssl, 512);
    SSL_CTX_set_session_ticket_cb(
        SSL_get_SSL_CTX(ssl),
        [](SSL* side, void*) {
          const std::string data(2000, 'x');
          return SSL_SESSION_set1_ticket_appdata(SSL_get_session(side), data.data(), data.size());
        },
        nullptr, nullptr);
    link.start(loop);
    std::string text = full ? pattern(5000000) : "";
    link.stream->write(text);  // the kernel has a part of the last record
    EXPECT_EQ(SSL_new_session_ticket(ssl), 1);
    EXPECT_EQ(SSL_do_handshake(ssl), 1);
    std::string ticket(8192, '\0');
    const int size = BIO_read(SSL_get_wbio(ssl), ticket.data(), static_cast<int>(ticket.size()));
    ASSERT_GT(size, 1500);
    ticket.resize(static_cast<std::size_t>(size));
    link.peer->socket.write(ticket.substr(0, 1000));
    run_for(loop, milliseconds(2));
    link.stream->write("the end");
    text += "the end";
    for (int i = 0; full && i < 1000; ++i) {
      link.peer->socket.read();
      EXPECT_TRUE(loop.poll());
    }
    EXPECT_LE(run_for(loop, milliseconds(10)), 4) << "nothing spins";
    EXPECT_EQ(link.handler.closes, 0) << link.handler.error.message();
    link.peer->socket.write(ticket.substr(1000));
    EXPECT_TRUE(
        pump(loop, [&] { return link.peer->read(), link.peer->got.size() >= text.size(); }));
    EXPECT_TRUE(link.peer->got == text);
  }
}

// G10: tickets and new keys cost far more than their bytes, and the peer sends them unasked.
TEST_P(TlsHostile, AFloodOfTicketsOrNewKeysIsTakenInManyTurns) {
  constexpr int kMessages = 4000;
  for (const Carrier carrier : {Carrier::client_v1_3, Carrier::server_v1_3}) {
    Loop loop(options());
    TlsLink link(loop, carrier);
    link.start(loop);
    int seen = 0;
    const auto count = [](int sent, int, int type, const void*, std::size_t, SSL*, void* sum) {
      if (sent == 0 && type == SSL3_RT_HANDSHAKE) ++*static_cast<int*>(sum);
    };
    SSL* const ours = Connection::of(*link.stream)->native();
    SSL_set_msg_callback(ours, count);
    SSL_set_msg_callback_arg(ours, &seen);
    SSL* const ssl = link.peer->ssl;
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_EQ(carrier == Carrier::client_v1_3 ? SSL_new_session_ticket(ssl)
                                                : SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED),
                1);
      EXPECT_EQ(SSL_do_handshake(ssl), 1);
    }
    link.peer->write("the end");
    int most = 0;
    EXPECT_TRUE(pump(loop, [&, before = 0]() mutable {
      most = std::max(most, seen - std::exchange(before, seen));
      return link.peer->read(), link.handler.got == "the end";
    }));
    EXPECT_GE(seen, kMessages);
    EXPECT_LE(most, 200) << "in a turn";
    EXPECT_LE(run_for(loop, milliseconds(10)), 4) << "nothing spins";
  }
}

// Each new key that the peer asks for costs us a message, and it reads none of them. They go over a
// unix socket: over TCP the kernel drops the acknowledgements together with so many small segments
// that nobody reads, and then goes on only by its retransmission timers.
TEST_P(TlsHostile, APeerThatAsksForMoreThanItReadsIsCutOff) {
  Loop loop(options());
  TlsLink link(loop, Carrier::server_v1_3, {}, &make_socket_pair);
  link.start(loop);
  const int little = 4096;
  ::setsockopt(link.stream->fd(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
  SSL* const ssl = link.peer->ssl;
  std::string out;
  std::string record(64, '\0');
  EXPECT_TRUE(pump(loop, [&] {
    while (out.size() < 4096) {
      EXPECT_EQ(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
      EXPECT_EQ(SSL_do_handshake(ssl), 1);
      const int size = BIO_read(SSL_get_wbio(ssl), record.data(), static_cast<int>(record.size()));
      out.append(record, 0, static_cast<std::size_t>(std::max(size, 0)));
    }
    out.erase(0, link.peer->socket.write(out));
    return link.handler.closes > 0;
  }));
  EXPECT_EQ(link.handler.error, std::errc::no_buffer_space);
}

TEST_P(TlsHostile, RenegotiationIsRefused) {
  Loop loop(options());
  TlsLink link(loop, Carrier::server_v1_2);
  link.handler.when_data = [](Stream& stream, std::string_view text) { stream.write(text); };
  link.start(loop);
  EXPECT_EQ(SSL_renegotiate(link.peer->ssl), 1);
  EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), !link.peer->failure.empty(); }));
  EXPECT_EQ(link.peer->failure, "no renegotiation");
  EXPECT_EQ(link.handler.got, "");
}

INSTANTIATE_TEST_SUITE_P(Backends, TlsHostile, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::tls
