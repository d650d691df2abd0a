// SPDX-License-Identifier: MIT
#include "reactor/dns/resolver.h"

#include <ares.h>
#include <sys/socket.h>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"
#include "reactor/dns/internal/cares_channel.h"
#include "reactor/dns/internal/lookup.h"
#include "reactor/net/socket.h"

namespace reactor::dns {
namespace {

constexpr std::size_t kLongestName = 254;  // with a final dot (RFC 1035 section 2.3.4)

bool is_name(std::string_view host) noexcept {
  return !host.empty() && host.size() <= kLongestName && is_c_string(host);
}

// Parses numeric addresses only. Address::parse() alone would also accept the name localhost.
Result<Address> parse_numeric(const std::string& host, std::uint16_t port) {
  const std::string end = ":" + std::to_string(port);
  if (host.find(':') != std::string::npos) return Address::parse("[" + host + "]" + end);
  if (host.find_first_not_of("0123456789.") != std::string::npos) return Errc::bad_name;
  return Address::parse(host + end);
}

// Returns whether this host has a v6 loopback address. Sends nothing.
bool reaches_v6_loopback() {
  const Result<Socket> probe = Socket::open(AF_INET6, SOCK_DGRAM);
  const Address address = Address::v6_loopback(1);
  return probe && ::connect(probe->fd(), address.data(), address.size()) == 0;
}

// Returns the best address first (RFC 6724 section 6): v6, unless it can't be reached.
std::vector<Address> loopback_addresses(Family family, std::uint16_t port) {
  const Address v4 = Address::loopback(port);
  const Address v6 = Address::v6_loopback(port);
  if (family == Family::v4) return {v4};
  if (family == Family::v6) return {v6};
  if (reaches_v6_loopback()) return {v6, v4};
  return {v4, v6};
}

int to_family(Family family) noexcept {
  if (family == Family::any) return AF_UNSPEC;
  return family == Family::v4 ? AF_INET : AF_INET6;
}

}  // namespace

Query& Query::operator=(Query&& other) noexcept {
  if (this != &other) {
    Query old(std::move(*this));
    lookup_ = std::exchange(other.lookup_, nullptr);
  }
  return *this;
}

Query::~Query() {
  if (lookup_ == nullptr) return;
  if (lookup_->resolver == nullptr) {
    delete lookup_;
    return;
  }
  // The callback is destroyed last, because it may own the resolver.
  const Resolver::Done dropped = std::move(lookup_->done);
  lookup_->held = false;
  lookup_->resolver->release_one();
}

bool Query::pending() const noexcept {
  return lookup_ != nullptr && (lookup_->resolver != nullptr || lookup_->delivery.active());
}

Resolver::Resolver(Loop& loop, std::unique_ptr<Channel> channel) noexcept
    : loop_(&loop), channel_(std::move(channel)) {}

Resolver::~Resolver() { channel_.reset(); }

Result<std::unique_ptr<Resolver>> Resolver::create(Loop& loop, const ResolverOptions& options,
                                                   SourceLocation where) {
  if (!loop.in_own_process()) return reactor::Errc::wrong_process;
  Result<std::unique_ptr<Channel>> channel = Channel::open(loop, options, where);
  if (!channel) return channel.error();
  return std::unique_ptr<Resolver>(new Resolver(loop, std::move(*channel)));
}

Query Resolver::resolve(std::string_view host, std::uint16_t port, Family family, Done done,
                        SourceLocation where) {
  Query query(new Lookup(*loop_, port, std::move(done), where));
  Lookup& lookup = *query.lookup_;
  if (!loop_->in_own_process()) {
    lookup.end(make_error_code(reactor::Errc::wrong_process));
  } else if (!is_name(host)) {
    lookup.end(Errc::bad_name);
  } else {
    ask(lookup, std::string(host), family);
  }
  return query;
}

void Resolver::ask(Lookup& lookup, const std::string& host, Family family) {
  const int wanted = to_family(family);
  if (const Result<Address> numeric = parse_numeric(host, lookup.port)) {
    const bool fits = wanted == AF_UNSPEC || wanted == numeric->family();
    if (fits) lookup.addresses.push_back(*numeric);
    return lookup.end(fits ? std::error_code{} : make_error_code(Errc::no_data));
  }
  if (is_localhost(host)) {
    lookup.addresses = loopback_addresses(family, lookup.port);
    return lookup.end({});
  }
  ares_addrinfo_hints hints{};
  hints.ai_family = wanted;
  hints.ai_socktype = SOCK_STREAM;
  lookup.resolver = this;
  ++wanted_;
  ::ares_getaddrinfo(channel_->get(), host.c_str(), nullptr, &hints, &Lookup::on_answer, &lookup);
  channel_->settle();
}

// c-ares can only cancel all questions together, so this cancels them when no Query waits any more.
// This also frees the sockets and the timer of questions whose Query was destroyed.
void Resolver::release_one() {
  if (--wanted_ > 0) return;
  ::ares_cancel(channel_->get());
  channel_->settle();
}

}  // namespace reactor::dns
