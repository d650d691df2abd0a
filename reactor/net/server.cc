// SPDX-License-Identifier: MIT
#include "reactor/net/server.h"

#include <sys/resource.h>

namespace reactor {
namespace {

// For logs, wake-ups, files that a handler opens.
constexpr std::size_t kDescriptorReserve = 64;

std::size_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const auto soft = static_cast<std::size_t>(limit.rlim_cur);
  return soft > 2 * kDescriptorReserve ? soft - kDescriptorReserve : soft / 2;
}

}  // namespace

ServerBase::ServerBase(Loop& loop, ServerLimits limits, SourceLocation where)
    : loop_(loop), limits_(std::move(limits)), where_(where) {
  if (limits_.max_connections == 0) limits_.max_connections = descriptor_limit();
}

ServerBase::~ServerBase() = default;

std::error_code ServerBase::listen_at(std::span<const Address> addresses) {
  for (const Address& address : addresses) {
    Result<std::unique_ptr<Listener>> listener =
        Listener::listen(loop_, address, *this, limits_.listen, where_);
    if (!listener) return listener.error();
    listeners_.push_back(std::move(*listener));
  }
  return {};
}

std::error_code ServerBase::adopt_sockets(std::vector<Socket> sockets) {
  for (Socket& socket : sockets) {
    Result<std::unique_ptr<Listener>> listener =
        Listener::adopt(loop_, std::move(socket), *this, false, where_);
    if (!listener) return listener.error();
    listeners_.push_back(std::move(*listener));
  }
  return {};
}

std::vector<Address> ServerBase::addresses() const {
  std::vector<Address> addresses;
  addresses.reserve(listeners_.size());
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

void ServerBase::on_accept(Listener& listener, Socket connection) {
  ++accepted_;
  if (++connections_ >= limits_.max_connections) {
    full_ = true;
    for (const auto& each : listeners_) each->pause();
  }
  start_connection(std::move(connection), listener.where());
}

void ServerBase::count_down() noexcept {
  --connections_;
  if (full_ && !draining_ && connections_ < limits_.max_connections) {
    full_ = false;
    for (const auto& listener : listeners_) static_cast<void>(listener->resume());
  }
  if (draining_ && connections_ == 0) drained_.schedule();
}

// A batch that is less than full found the end of the queue.
void ServerBase::empty_queue(Listener& listener) {
  std::uint64_t before = 0;
  do {
    before = accepted_;
    listener.accept_now();
  } while (accepted_ - before == Listener::kAcceptBudget);
}

void ServerBase::drain(Callback<void()> done) {
  done_ = std::move(done);
  if (draining_) return;
  for (const auto& listener : listeners_) empty_queue(*listener);
  draining_ = true;
  listeners_.clear();
  drained_ = loop_.deferred([this] {
    if (done_) done_();
  });
  shut_connections_down();
  if (connections_ == 0) drained_.schedule();
}

}  // namespace reactor
