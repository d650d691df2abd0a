// SPDX-License-Identifier: MIT
// A Lookup has two holders, c-ares and the Query. The last one to release it frees it:
//
//   asked -- c-ares answers --> the loop calls back --> the Query is destroyed: freed
//     |
//     +-- the Query is destroyed --> c-ares answers: freed, without a call
#include "reactor/dns/internal/lookup.h"

#include <ares.h>

#include <memory>
#include <utility>

namespace reactor::dns {
namespace {

std::error_code answer_error(int status) noexcept {
  switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
      return Errc::not_found;
    case ARES_ENODATA:
      return Errc::no_data;
    case ARES_ETIMEOUT:
      return Errc::timed_out;
    case ARES_EBADNAME:
    case ARES_EBADSTR:
      return Errc::bad_name;
    case ARES_EBADRESP:
    case ARES_EFORMERR:
      return Errc::bad_answer;
    case ARES_ENOMEM:
      return std::make_error_code(std::errc::not_enough_memory);
    default:  // SERVFAIL and "no server": their codes depend on the version
      return Errc::server_failure;
  }
}

}  // namespace

Lookup::Lookup(Loop& loop, std::uint16_t port_wanted, Resolver::Done callback, SourceLocation where)
    : port(port_wanted),
      done(std::move(callback)),
      delivery(loop.timer([this] { deliver(); }, where)) {}

void Lookup::on_answer(void* self, int status, int, ares_addrinfo* answer) noexcept {
  const std::unique_ptr<ares_addrinfo, decltype(&::ares_freeaddrinfo)> owned(answer,
                                                                             &::ares_freeaddrinfo);
  auto& lookup = *static_cast<Lookup*>(self);
  Resolver& resolver = *std::exchange(lookup.resolver, nullptr);
  if (!lookup.held) {
    delete &lookup;
    return;
  }
  --resolver.wanted_;
  if (status == ARES_EDESTRUCTION) return;
  try {
    lookup.store(status, answer);
  } catch (...) {
    lookup.end(std::make_error_code(std::errc::not_enough_memory));
  }
}

void Lookup::store(int status, const ares_addrinfo* answer) {
  if (status != ARES_SUCCESS) return end(answer_error(status));
  for (const ares_addrinfo_node* node = answer->nodes; node != nullptr; node = node->ai_next) {
    addresses.push_back(Address::from(node->ai_addr, node->ai_addrlen).with_port(port));
  }
  end(addresses.empty() ? make_error_code(Errc::no_data) : std::error_code{});
}

void Lookup::end(std::error_code why) noexcept {
  error = why;
  delivery.start(Duration::zero());
}

// The callback may destroy the Query, and with it this object.
void Lookup::deliver() {
  Resolver::Done callback = std::move(done);
  using Answer = Result<std::vector<Address>>;
  if (callback) callback(error ? Answer(error) : Answer(std::move(addresses)));
}

}  // namespace reactor::dns
