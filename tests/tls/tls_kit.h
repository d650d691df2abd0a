// SPDX-License-Identifier: MIT
// Helpers for the tests of TLS: a peer that uses OpenSSL alone, and a Stream that is connected to
// it.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "reactor/tls/client_context.h"
#include "reactor/tls/connection.h"
#include "reactor/tls/server_context.h"
#include "reactor/tls/tls_error.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"
#include "tests/tls/certificates.h"

namespace reactor::tls {

// The way from a test's Stream to its peer. The names say which side the Stream is.
enum class Carrier { plain, server_v1_2, server_v1_3, client_v1_3 };

// The other side. Its bytes go through memory BIOs. Without an SSL it is a plain socket.
class TlsPeer {
 public:
  TlsPeer(UniqueFd descriptor, SSL* ssl);  // owns the SSL, which knows its side
  ~TlsPeer() { SSL_free(ssl); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  // Does everything that is possible now: shakes hands, reads, and sends the bytes that wait.
  void read();
  // Queues `text`. The calls of read() send it sooner or later.
  void write(std::string_view text);
  // Half-closes: after the queued bytes come close_notify (over TLS) and FIN.
  void end_writing();
  [[nodiscard]] bool over() const { return end || socket.error != 0; }

  Peer socket;
  SSL* ssl;
  std::string got;
  bool end = false;     // the Stream's end; over TLS, its close_notify
  std::string failure;  // the error that OpenSSL gave

 private:
  void flush();
  void take(int returned);

  std::string out_;   // for the socket
  std::string text_;  // for OpenSSL, until the handshake is over
  bool ending_ = false, ended_ = false;
};

// Return an SSL for the peer's side, which TlsPeer owns later.
[[nodiscard]] SSL* peer_client(int version, const std::string& name = "localhost");
[[nodiscard]] SSL* peer_server(int version);

// A Stream with a Recorder, and its peer.
struct TlsLink {
  TlsLink(Loop& loop, Carrier carrier, StreamOptions settings = {},
          FdPair (*make)() = &make_tcp_pair);
  // Starts the Stream, and waits for the handshake.
  void start(Loop& loop);

  std::unique_ptr<ServerContext> server;
  std::unique_ptr<ClientContext> client;
  StreamOptions options;
  Recorder handler;
  std::unique_ptr<TlsPeer> peer;
  std::unique_ptr<Stream> stream;
};

[[nodiscard]] std::unique_ptr<ServerContext> make_server(ServerOptions options = {});
[[nodiscard]] std::unique_ptr<ClientContext> make_client(ClientOptions options = {});

}  // namespace reactor::tls
