// SPDX-License-Identifier: MIT
// What the tests of TLS share: a peer that speaks it by OpenSSL alone, and a Stream joined to it.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "reactor/tls/client_context.h"
#include "reactor/tls/connection.h"
#include "reactor/tls/error.h"
#include "reactor/tls/server_context.h"
#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"
#include "tests/tls/certificates.h"

namespace reactor::tls {

// How a Stream of a test reaches its peer. The names say which side the Stream is.
enum class Carrier { plain, server_v1_2, server_v1_3, client_v1_3 };

// The other side, whose octets go through memory. Without an SSL it is a plain socket.
class TlsPeer {
 public:
  TlsPeer(UniqueFd descriptor, SSL* ssl);  // takes the SSL, which knows which side it is
  ~TlsPeer() { SSL_free(ssl); }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  // Does all that can be done: shakes hands, reads, sends what is left.
  void read();
  // All of it goes sooner or later, as read() is called.
  void write(std::string_view text);
  // Half-close: what was written, close_notify, FIN.
  void end_writing();
  [[nodiscard]] bool over() const { return end || socket.error != 0; }

  Peer socket;
  SSL* ssl;
  std::string got;
  bool end = false;     // said so: by close_notify where there is TLS
  std::string failure;  // that OpenSSL gave

 private:
  void flush();
  void take(int returned);

  std::string out_;   // for the socket
  std::string text_;  // for OpenSSL, until it has shaken hands
  bool ending_ = false, ended_ = false;
};

// A peer's side. The result is for TlsPeer.
[[nodiscard]] SSL* peer_client(int version, const std::string& name = "localhost");
[[nodiscard]] SSL* peer_server(int version);

// A Stream with a Recorder, and its peer.
struct TlsLink {
  TlsLink(Loop& loop, Carrier carrier, StreamOptions settings = {},
          FdPair (*make)() = &make_tcp_pair);
  // Starts, and shakes hands.
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
