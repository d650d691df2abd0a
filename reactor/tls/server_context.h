// SPDX-License-Identifier: MIT
// ServerContext: what the TLS connections of a server have in common.
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

#include "reactor/base/callback_slot.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/net/transport.h"
#include "reactor/tls/credentials.h"
#include "reactor/tls/groups.h"
#include "reactor/tls/version.h"

struct ssl_ctx_st;

namespace reactor::tls {

inline constexpr std::size_t kTicketKeySize = 80;
// For ServerOptions::ticket_key: kTicketKeySize random octets.
[[nodiscard]] std::string new_ticket_key();

struct ServerOptions {
  Credentials credentials = {};
  // By ALPN (RFC 7301), the best first. Empty: not negotiated; else a client that offers protocols,
  // but none of these, is refused.
  std::vector<std::string> protocols = {};
  Version least_version = Version::v1_2;
  Duration handshake_timeout = std::chrono::seconds(10);  // greater than zero
  // Sessions go on by tickets, which hold all there is to know: nothing is kept here.
  bool resumption = true;
  // By which tickets are sealed: new_ticket_key(), for servers that shall take each other's
  // tickets, like the workers of one program. Empty: one of its own.
  std::string ticket_key = {};
  // For the key exchange: the preferred one first, with colons between them, as
  // SSL_CTX_set1_groups_list(3) names them. A client that offers none of these is refused.
  std::string groups = kDefaultGroups;
};

// Belongs to one loop's thread, and outlives the Streams that it makes transports for.
class ServerContext final : public TransportFactory {
 public:
  // Errors: those of Credentials::read() but of its files; Errc::bad_protocol, bad_ticket_key,
  // bad_groups.
  [[nodiscard]] static Result<std::unique_ptr<ServerContext>> make(const ServerOptions& options);
  ~ServerContext() override;
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // Called in each handshake whose client asks for a server by name (SNI), as it spelled it: whose
  // credentials and protocols to go on with; null: this one's. What it gives outlives the Streams
  // too. It may not end Streams; an exception ends the handshake and leaves run().
  void set_picker(Callback<ServerContext*(std::string_view name)> pick) { pick_ = std::move(pick); }

  // From now on connections prove themselves by `credentials`: after a certificate was renewed.
  // Those that are there already go on with the earlier ones. Errors: those of make(), and then
  // nothing has changed.
  [[nodiscard]] Result<> renew(const Credentials& credentials);

  [[nodiscard]] std::unique_ptr<Transport> make_transport() override;

  // OpenSSL's own, for settings that have no option here; before the first connection. renew()
  // makes another one.
  [[nodiscard]] ssl_ctx_st* native() const noexcept { return context_; }

 private:
  struct Hooks;  // what OpenSSL calls

  ServerContext(const ServerOptions& options, std::string protocols);

  ServerOptions options_;  // but for the credentials, which only renew() sees
  std::string protocols_;  // as ALPN has them
  ssl_ctx_st* context_ = nullptr;
  CallbackSlot<ServerContext*(std::string_view name)> pick_;
};

}  // namespace reactor::tls
