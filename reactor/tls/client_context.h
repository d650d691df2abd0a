// SPDX-License-Identifier: MIT
// ClientContext: what the TLS connections of a client have in common.
//
//   auto context = tls::ClientContext::make({}).value();
//   Stream stream(loop, std::move(connected), handler, options);
//   context->secure(stream, "example.org").value();
//   stream.start();
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/tls/groups.h"
#include "reactor/tls/version.h"

struct ssl_ctx_st;
struct ssl_session_st;

namespace reactor {
class Stream;
class Transport;
}  // namespace reactor

namespace reactor::tls {

struct ClientOptions {
  // PEM: whose certificates are trusted. Empty: the system's, or SSL_CERT_FILE and SSL_CERT_DIR.
  std::string ca_file = {};
  // Off: whoever answers is believed. For tests.
  bool verify = true;
  std::vector<std::string> protocols = {};  // offered by ALPN, the best first; empty: none
  Version least_version = Version::v1_2;
  Duration handshake_timeout = std::chrono::seconds(10);  // greater than zero
  bool resumption = true;               // of the last session with each host and port
  std::string groups = kDefaultGroups;  // as ServerOptions::groups
};

// Belongs to one loop's thread, and outlives the Streams that it secures.
class ClientContext {
 public:
  // Errors: those of open(2) and OpenSSL for ca_file; invalid_argument if its path holds a NUL
  // byte; Errc::bad_protocol, bad_groups.
  [[nodiscard]] static Result<std::unique_ptr<ClientContext>> make(const ClientOptions& options);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  // Makes `stream`, which is connected and not started, a client's that talks to `host`: a name, as
  // the server's certificate has to show it, or an address in digits. on_open() comes when the
  // server has proved to be that host; else on_close() with the reason. Errors: Errc::bad_host.
  [[nodiscard]] Result<> secure(Stream& stream, std::string_view host);
  // The same for who has no Stream yet. Services of one host are told apart by `port`, and do not
  // replace each other's session; secure() asks the socket for it.
  [[nodiscard]] Result<std::unique_ptr<Transport>> transport_for(std::string_view host,
                                                                 std::uint16_t port = 0);

  // OpenSSL's own, for settings that have no option here; before the first connection.
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_; }

 private:
  struct Hooks;  // what OpenSSL calls
  struct FreeSession {
    void operator()(ssl_session_st* session) const noexcept;
  };
  struct Session {
    std::string service;
    std::unique_ptr<ssl_session_st, FreeSession> session;
  };

  explicit ClientContext(ssl_ctx_st* context, const ClientOptions& options);
  [[nodiscard]] std::vector<Session>::iterator find(const std::string& service);
  void keep(const std::string& service, ssl_session_st* session);

  ssl_ctx_st* context_;
  Duration handshake_timeout_;
  std::vector<Session> sessions_;  // the oldest first; one for each service
};

}  // namespace reactor::tls
