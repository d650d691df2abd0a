// SPDX-License-Identifier: MIT
// HostConnector connects to a host by its name.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "reactor/dns/resolver.h"
#include "reactor/net/connector.h"

namespace reactor::dns {

// HostConnector asks for A and AAAA records at the same time, and passes the addresses to a
// Connector as they arrive. It tries v6 addresses first if their answer arrives at most
// kResolutionDelay after that of v4 (RFC 8305 sections 3 and 4). The deadline of ConnectOptions
// covers the lookups too. With a local address, only addresses of its family are looked up.
//
// Belongs to its loop's thread, and keeps Loop::run() going until it has called back. Destroying it
// cancels: the callback never runs. The callback may destroy it. The resolver must outlive it.
class HostConnector {
 public:
  static constexpr Duration kResolutionDelay = std::chrono::milliseconds(50);

  // Calls back once, never from inside connect(). The callback gets one of these:
  //   the connected socket
  //   Errc::not_found, if a lookup returned it and neither gave an address
  //   another error of the lookups, if neither gave an address
  //   the error that Connector reports for its attempts
  // Errors: those of Connector::connect().
  [[nodiscard]] static Result<std::unique_ptr<HostConnector>> connect(
      Resolver& resolver, std::string_view host, std::uint16_t port, const ConnectOptions& options,
      Connector::Done done, SourceLocation where = SourceLocation::current());

  ~HostConnector() = default;
  HostConnector(const HostConnector&) = delete;
  HostConnector& operator=(const HostConnector&) = delete;

  // Returns the same as Connector::attempts(); empty if neither lookup gave an address.
  [[nodiscard]] std::span<const ConnectAttempt> attempts() const noexcept {
    return connector_->attempts();
  }

 private:
  // The answer of one of the two lookups.
  struct Answer {
    bool there = false;
    std::error_code error;
    std::vector<Address> addresses;  // those not yet passed to the connector
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
  Timer delay_;  // delays v4 while v6 is awaited
  std::unique_ptr<Connector> connector_;
};

}  // namespace reactor::dns
