// SPDX-License-Identifier: MIT
// ClientContext holds the settings and sessions that the TLS connections of a client share.
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
  // The PEM file of the trusted certificates. If it is empty, the system's certificates are
  // trusted, or those that the environment variables SSL_CERT_FILE and SSL_CERT_DIR name.
  std::string ca_file = {};
  // If false, any certificate is accepted. For tests.
  bool verify = true;
  std::vector<std::string> protocols = {};  // offered by ALPN, best first; empty: none
  Version least_version = Version::v1_2;
  Duration handshake_timeout = std::chrono::seconds(10);  // greater than zero
  bool resumption = true;               // resumes the last session with each host and port
  std::string groups = kDefaultGroups;  // see ServerOptions::groups
};

// A ClientContext belongs to one loop's thread, and must outlive the Streams that it secures.
class ClientContext {
 public:
  // Errors: those of open(2) and OpenSSL for ca_file; invalid_argument if its path contains a NUL
  // byte; Errc::bad_protocol, bad_groups.
  [[nodiscard]] static Result<std::unique_ptr<ClientContext>> make(const ClientOptions& options);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  // Makes `stream`, which is connected but not started, a TLS client that talks to `host`. `host`
  // is a name, which the server's certificate must contain, or a numeric address. on_open() is
  // called when the server has proved to be that host; otherwise on_close() gets the reason.
  // Errors: Errc::bad_host.
  [[nodiscard]] Result<> secure(Stream& stream, std::string_view host);
  // Returns the transport that secure() would set, for callers that have no Stream yet. Sessions
  // are stored by host and port, because one host may run several servers. secure() passes the port
  // of the socket's peer.
  [[nodiscard]] Result<std::unique_ptr<Transport>> transport_for(std::string_view host,
                                                                 std::uint16_t port = 0);

  // Returns the OpenSSL object, for settings that have no option here. Use it before the first
  // connection.
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_; }

 private:
  struct Hooks;  // the functions that OpenSSL calls
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
  std::vector<Session> sessions_;  // the oldest first; at most one per host and port
};

}  // namespace reactor::tls
