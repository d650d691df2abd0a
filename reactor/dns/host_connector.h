// SPDX-License-Identifier: MIT
// HostConnector: a connection to a host by its name.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "reactor/dns/resolver.h"
#include "reactor/net/connector.h"

namespace reactor::dns {

// Asks for A and AAAA at once and tries what comes, as Connector does: v6 first, if its answer is
// there at most kResolutionDelay after that of v4 (RFC 8305 sections 3 and 4). The deadline of
// ConnectOptions covers the questions too; with a local address only its family is asked for.
//
// Belongs to its loop's thread, and keeps Loop::run() going until it has called back. Destroying it
// cancels: the callback never runs. The callback may destroy it. The resolver outlives it.
class HostConnector {
 public:
  static constexpr Duration kResolutionDelay = std::chrono::milliseconds(50);

  // Calls back once, never from inside connect(): with the socket; with a dns::Errc where no
  // question gave an address (the host's, if one says that there is none); or with the error that
  // Connector tells of the attempts.
  // Errors: those of Connector::connect().
  [[nodiscard]] static Result<std::unique_ptr<HostConnector>> connect(
      Resolver& resolver, std::string_view host, std::uint16_t port, const ConnectOptions& options,
      Connector::Done done, SourceLocation where = SourceLocation::current());

  ~HostConnector() = default;
  HostConnector(const HostConnector&) = delete;
  HostConnector& operator=(const HostConnector&) = delete;

  // As Connector::attempts(); empty where no question gave an address.
  [[nodiscard]] std::span<const ConnectAttempt> attempts() const noexcept {
    return connector_->attempts();
  }

 private:
  // The answer to one of the questions.
  struct Answer {
    bool there = false;
    std::error_code error;
    std::vector<Address> addresses;  // that the connector does not have yet
    Query query;
  };

  HostConnector(Loop& loop, Connector::Done done, SourceLocation where);
  void ask(Resolver& resolver, std::string_view host, std::uint16_t port,
           const ConnectOptions& options, SourceLocation where);
  void take(Answer& answer, Result<std::vector<Address>> result);
  void pass_on(Answer& answer);
  void on_answer();
  [[nodiscard]] std::error_code dns_error() const noexcept;
  void finish(Result<Socket> result);

  Connector::Done done_;
  Answer v4_, v6_;
  Timer delay_;  // holds v4 back for v6
  std::unique_ptr<Connector> connector_;
};

}  // namespace reactor::dns
