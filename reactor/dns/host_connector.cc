// SPDX-License-Identifier: MIT
// The two lookups run side by side, and each answer is passed to the Connector as early as allowed:
//
//   AAAA answers   its addresses at once
//   A answers      its addresses at once if AAAA has answered; else after kResolutionDelay
//
// When both have answered, no_more() tells the Connector that no further address follows. The
// Connector then fails once all its attempts have failed.
#include "reactor/dns/host_connector.h"

#include <utility>

#include "reactor/base/error.h"

namespace reactor::dns {

HostConnector::HostConnector(Loop& loop, Connector::Done done, SourceLocation where)
    : done_(std::move(done)), delay_(loop.timer([this] { pass_on(v4_); }, where)) {}

Result<std::unique_ptr<HostConnector>> HostConnector::connect(
    Resolver& resolver, std::string_view host, std::uint16_t port, const ConnectOptions& options,
    Connector::Done done, SourceLocation where) {
  if (!done) return std::make_error_code(std::errc::invalid_argument);
  Loop& loop = resolver.loop();
  std::unique_ptr<HostConnector> self(new HostConnector(loop, std::move(done), where));
  const auto end = [raw = self.get()](Result<Socket> result) { raw->finish(std::move(result)); };
  Result<std::unique_ptr<Connector>> connector = Connector::grow(loop, options, end, where);
  if (!connector) return connector.error();
  self->connector_ = std::move(*connector);
  self->ask(resolver, host, port, options, where);
  return self;
}

void HostConnector::ask(Resolver& resolver, std::string_view host, std::uint16_t port,
                        const ConnectOptions& options, SourceLocation where) {
  const int only = options.local ? options.local->family() : AF_UNSPEC;
  const auto start = [&](Answer& answer, Family family, int number) {
    if (only != AF_UNSPEC && only != number) {
      answer.there = true;
      answer.error = Errc::no_data;
      return;
    }
    answer.query = resolver.resolve(
        host, port, family,
        [this, &answer](Result<std::vector<Address>> result) { take(answer, std::move(result)); },
        where);
  };
  start(v6_, Family::v6, AF_INET6);
  start(v4_, Family::v4, AF_INET);
}

void HostConnector::take(Answer& answer, Result<std::vector<Address>> result) {
  answer.there = true;
  answer.error = result.error();
  if (result) answer.addresses = std::move(*result);
  on_answer();
}

void HostConnector::on_answer() {
  pass_on(v6_);
  if (!v4_.there) return;
  if (v6_.there) {
    delay_.stop();
    pass_on(v4_);
    connector_->no_more();
  } else if (!v4_.addresses.empty()) {
    delay_.start(kResolutionDelay);
  }
}

// If there is no memory, these addresses are dropped. Those of the other family may be enough.
void HostConnector::pass_on(Answer& answer) {
  try {
    connector_->add(std::exchange(answer.addresses, {}));
  } catch (const std::bad_alloc&) {
    answer.error = std::make_error_code(std::errc::not_enough_memory);
  }
}

// Returns why there was no address to try. That is not_found if either lookup says so, because the
// name then exists in no family. Otherwise it is the error of the AAAA lookup, or of the A lookup
// if AAAA has only no_data.
std::error_code HostConnector::dns_error() const noexcept {
  const bool v4_tells = v4_.error == Errc::not_found || v6_.error == Errc::no_data;
  return v4_tells ? v4_.error : v6_.error;
}

// The callback may destroy this object.
void HostConnector::finish(Result<Socket> result) {
  v4_.query = Query();
  v6_.query = Query();
  delay_.stop();
  Connector::Done callback = std::move(done_);
  if (result.error() == std::errc::destination_address_required) result = dns_error();
  if (callback) callback(std::move(result));
}

}  // namespace reactor::dns
