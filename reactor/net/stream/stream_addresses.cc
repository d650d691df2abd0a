// SPDX-License-Identifier: MIT
// This file has the functions for a Stream's addresses. Addresses that a proxy announced are kept
// in the NetContext, so that Streams without them pay nothing.
#include "reactor/net/internal/net_context.h"
#include "reactor/net/stream/stream.h"

namespace reactor {

void Stream::announce(const Address& peer, const Address& local) {
  if (has(kClosed)) return;
  context_->announced.insert_or_assign(this, NetContext::Announcement{{peer, local}, this});
  if (!has(kStarted)) set(kUnattached);
}

const ProxiedAddresses* Stream::announced() const noexcept {
  const auto found = context_->announced.find(this);
  return found == context_->announced.end() ? nullptr : &found->second.addresses;
}

Result<Address> Stream::peer() const {
  if (const ProxiedAddresses* const addresses = announced()) return addresses->source;
  return Socket::peer_address(fd());
}

Result<Address> Stream::local() const {
  if (const ProxiedAddresses* const addresses = announced()) return addresses->destination;
  return Socket::local_address(fd());
}

}  // namespace reactor
