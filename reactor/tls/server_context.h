// SPDX-License-Identifier: MIT
// ServerContext holds the settings and credentials that the TLS connections of a server share.
//
//   auto credentials = tls::Credentials::read("chain.pem", "key.pem").value();
//   auto context = tls::ServerContext::make({.credentials = std::move(credentials)}).value();
//   ServerLimits limits;
//   limits.transports = context.get();
//   auto server = Server<Echo>::listen(loop, address, limits).value();
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/held_callback.h"
#include "reactor/base/result.h"
#include "reactor/net/transport.h"
#include "reactor/tls/credentials.h"
#include "reactor/tls/groups.h"
#include "reactor/tls/version.h"

struct ssl_ctx_st;

namespace reactor::tls {

inline constexpr std::size_t kTicketKeySize = 80;
// Returns kTicketKeySize random bytes, for ServerOptions::ticket_key.
[[nodiscard]] std::string new_ticket_key();

struct ServerOptions {
  Credentials credentials = {};
  // Protocols to accept by ALPN (RFC 7301), best first. Empty: no negotiation. Otherwise a client
  // that offers protocols, but none of these, is refused.
  std::vector<std::string> protocols = {};
  Version least_version = Version::v1_2;
  Duration handshake_timeout = std::chrono::seconds(10);  // greater than zero
  // Sessions are resumed by tickets, which contain the whole session: the server stores nothing.
  bool resumption = true;
  // The key that encrypts tickets, from new_ticket_key(). Servers that accept each other's tickets,
  // such as the workers of one program, need the same key. Empty: the ServerContext makes its own
  // key.
  std::string ticket_key = {};
  // Groups for the key exchange: the preferred one first, separated by colons, as
  // SSL_CTX_set1_groups_list(3) names them. A client that offers none of these is refused.
  std::string groups = kDefaultGroups;
};

// A ServerContext belongs to one loop's thread, and must outlive the Streams that it makes
// transports for.
class ServerContext final : public TransportFactory {
 public:
  // Errors: those of Credentials::read() except those about files; Errc::bad_protocol,
  // bad_ticket_key, bad_groups.
  [[nodiscard]] static Result<std::unique_ptr<ServerContext>> make(const ServerOptions& options);
  ~ServerContext() override;
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // Sets a function that is called in each handshake whose client asks for a server name (SNI),
  // with the name as the client spelled it. The function returns the context whose credentials and
  // protocols are used, or null for this one. The returned context must outlive the Streams too.
  // The function must not end Streams. An exception ends the handshake and leaves run().
  void set_picker(Callback<ServerContext*(std::string_view name)> pick) { pick_ = std::move(pick); }

  // Makes new connections use `credentials`, for a renewed certificate. Existing connections keep
  // the earlier ones. Errors: those of make(); then nothing has changed.
  [[nodiscard]] Result<> renew(const Credentials& credentials);

  [[nodiscard]] std::unique_ptr<Transport> make_transport() override;

  // Returns the OpenSSL object, for settings that have no option here. Use it before the first
  // connection. renew() makes another one.
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_; }

 private:
  struct Hooks;  // the functions that OpenSSL calls

  ServerContext(const ServerOptions& options, std::string protocols);

  ServerOptions options_;  // without the credentials, which only renew() sees
  std::string protocols_;  // in the form that ALPN uses
  ssl_ctx_st* context_ = nullptr;
  HeldCallback<ServerContext*(std::string_view name)> pick_;
};

}  // namespace reactor::tls
