// SPDX-License-Identifier: MIT
// A new connection arrives by on_accept(), one from another process by adopt_connection().
// count_up() counts it and stops accepting at the limit. If there is a ProxyGate, it holds the
// connection until the PROXY header has arrived. Then start_connection() makes it by the
// ConnectionSet and starts its Stream.
//
// A server has three states. In the last two, note_end() calls `done` from the loop when no
// listener and no connection is left.
//
//   serving --hand_over()--> handing over: target_ is set, and doors_ repeats offer_all()
//      |                           | drain()
//      |                           v
//      '-------drain()---------> draining: doors_ calls close_listeners()
#include "reactor/net/server.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>
#include <new>
#include <vector>

#include "reactor/base/internal/fork_count.h"
#include "reactor/net/internal/net_context.h"
#include "reactor/net/internal/proxy_gate.h"

namespace reactor {
namespace {

// The number of descriptors that connections may not use. They are for logs, wake-ups, and files
// that a handler opens.
constexpr std::size_t kDescriptorReserve = 64;

// The interval of look_again().
constexpr Duration kSecondLook = std::chrono::seconds(1);

std::size_t descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const auto soft = static_cast<std::size_t>(limit.rlim_cur);
  return soft > 2 * kDescriptorReserve ? soft - kDescriptorReserve : soft / 2;
}

void accept_all(Listener& listener) {
  static_cast<void>(listener.resume());
  while (listener.accept_now()) {
  }
}

}  // namespace

ServerBase::ServerBase(Loop& loop, ServerLimits limits, SourceLocation where,
                       ConnectionSet& connections)
    : loop_(loop),
      connections_(connections),
      context_(&NetContext::of(loop)),
      limits_(std::move(limits)),
      where_(where),
      asking_(loop.deferred([this] { ask_all_to_end(); }, where)),
      drained_(loop.deferred(
          [this] {
            // If count_ is not 0, another connection arrived meanwhile, and its end calls
            // `done`.
            if (count_ == 0 && done_) std::exchange(done_, {})();
          },
          where)),
      doors_(loop.timer([this] { on_doors(); }, where)) {
  if (limits_.max_connections == 0) limits_.max_connections = descriptor_limit();
  limits_.max_waiting_handshakes = std::max<std::size_t>(limits_.max_waiting_handshakes, 1);
  if (limits_.proxy.protocol == ProxyProtocol::off) return;
  gate_ = std::make_unique<ProxyGate>(
      loop_, limits_.proxy,
      [this](Socket socket, SourceLocation origin, const ProxiedAddresses* addresses) {
        start_connection(std::move(socket), origin, {.addresses = addresses});
      },
      [this] { count_down(); });
}

ServerBase::~ServerBase() {
  for (const auto& listener : listeners_) let_in_again(*listener);
}

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
  adopted_ = true;
  for (Socket& socket : sockets) {
    Result<std::unique_ptr<Listener>> listener =
        Listener::adopt(loop_, std::move(socket), *this, false, where_);
    if (!listener) return listener.error();
    listeners_.push_back(std::move(*listener));
  }
  if (!listeners_.empty()) doors_.start(Duration::zero());
  return {};
}

ProxyStats ServerBase::proxy_stats() const noexcept {
  return gate_ == nullptr ? ProxyStats{} : gate_->stats();
}

std::vector<Address> ServerBase::addresses() const {
  std::vector<Address> addresses;
  if (draining_) return addresses;
  addresses.reserve(listeners_.size());
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

// ---- Accepting ----

void ServerBase::on_accept(Listener& listener, Socket connection) {
  const SourceLocation where = listener.where();  // the calls below may close the listener
  if (keep_) {
    const Lifetime::Watch server(lifetime_);
    if (!keep_(connection) || server.over()) return;
  }
  ++accepted_;
  if (left_ > 0 && --left_ == 0) reached_.schedule();
  count_up();
  admit(std::move(connection), where);
}

bool ServerBase::takes_more() const noexcept {
  return limits_.transports == nullptr ||
         NetContext::of(loop_).openings_waiting() < limits_.max_waiting_handshakes;
}

void ServerBase::admit(Socket connection, SourceLocation where) {
  if (gate_ != nullptr) {
    gate_->admit(std::move(connection), where);
  } else {
    start_connection(std::move(connection), where, {});
  }
}

void ServerBase::start_connection(Socket socket, SourceLocation where,
                                  const NewConnection::Origin& origin) {
  NewConnection from{loop_, limits_.stream, *this, std::move(socket), where, nullptr, origin};
  Stream* const stream = make_stream(from);
  if (stream == nullptr) return;
  // If the server is ending, this connection has missed the request to finish: it waited for its
  // PROXY header, or is from another process. The next turn asks all connections again. That is
  // scheduled here, because the start may throw.
  if (finishing()) asking_.schedule();
  if (from.origin.state == nullptr) {
    stream->start(true);
  } else {
    stream->start_adopted(*from.origin.state);
  }
}

// Returns null if there is nothing to start: see ConnectionSet::make(). Both the TransportFactory
// and the handlers may throw, and may destroy the server. A connection with a state had no
// transport in its old process, so it gets none here.
Stream* ServerBase::make_stream(NewConnection& from) {
  const Lifetime::Watch server(lifetime_);
  try {
    const bool plain = limits_.transports == nullptr || from.origin.state != nullptr;
    if (!plain) from.transport = limits_.transports->make_transport();
    return server.over() ? nullptr : connections_.make(from);
  } catch (...) {
    if (!server.over()) count_down();
    throw;
  }
}

void ServerBase::on_stream_closed(Stream& stream) noexcept {
  connections_.destroy(stream);
  count_down();
}

// A lingering connection is closed but still holds a descriptor. If the new connection would exceed
// the limit, it takes the room of this server's connection that has lingered longest, which is
// reset.
void ServerBase::count_up() noexcept {
  counter_->set(++count_);
  Lingerers& lingerers = context_->lingerers;
  if (count_ + lingerers.size() > limits_.max_connections) [[unlikely]] {
    const std::size_t own = lingerers.size(limits_.stream);
    if (own > 0 && count_ + own > limits_.max_connections) {
      lingerers.reset_oldest(limits_.stream);
    }
  }
  if (count_ < limits_.max_connections) return;
  full_ = true;
  pause_all();
}

void ServerBase::pause_all() noexcept {
  for (const auto& listener : listeners_) listener->pause();
  for (const Loan& loan : loans_) loan.listener->pause();
}

void ServerBase::count_down() noexcept {
  counter_->set(--count_);
  if (full_ && !target_ && count_ < limits_.max_connections) {
    full_ = false;
    for (const auto& listener : listeners_) static_cast<void>(listener->resume());
    for (const Loan& loan : loans_) static_cast<void>(loan.listener->resume());
    if (room_) room_.schedule();
  }
  if (draining_) note_end();
}

void ServerBase::set_counter(Counter& connections) noexcept {
  counter_ = &connections;
  counter_->set(count_);
}

void ServerBase::set_on_room(Callback<void()> room) {
  room_ = room ? loop_.deferred(std::move(room), where_) : Deferred();
}

void ServerBase::set_limit(std::uint64_t connections, Callback<void()> reached) {
  const bool counts = static_cast<bool>(reached);
  reached_ = counts ? loop_.deferred(std::move(reached), where_) : Deferred();
  left_ = counts ? connections : 0;
}

// ---- Listeners that other workers share or lend ----

void ServerBase::share_listeners() {
  Timer look = loop_.timer([this] { look_again(); }, where_);
  shared_ = true;
  bool polled_by_all = false;
  for (const auto& listener : listeners_) {
    if (Socket::is_balanced(listener->fd())) continue;
    listener->share();
    polled_by_all = true;
  }
  if (!polled_by_all) return;
  second_look_ = std::move(look);
  second_look_.start_every(kSecondLook);
  second_look_.unref();
}

// Accepts from listeners that are not balanced, without waiting for an event. The kernel may have
// reported a connection only to another process that was stopped at that moment.
void ServerBase::look_again() {
  const Lifetime::Watch server(lifetime_);
  for (std::size_t i = 0; !server.over() && i < listeners_.size(); ++i) {
    if (!Socket::is_balanced(listeners_[i]->fd())) listeners_[i]->accept_now();
  }
}

Result<> ServerBase::borrow(int listening_fd) {
  if (draining_) return {};  // a server that ends accepts for nobody
  for (const Loan& loan : loans_) {
    if (loan.listening_fd == listening_fd) return std::make_error_code(std::errc::file_exists);
  }
  UniqueFd copy(::fcntl(listening_fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return last_system_error();
  Result<std::unique_ptr<Listener>> listener =
      Listener::adopt(loop_, Socket(std::move(copy)), *this, false, where_);
  if (!listener) return listener.error();
  if (full_) (*listener)->pause();
  (*listener)->share();
  loans_.push_back({listening_fd, std::move(*listener)});
  return {};
}

void ServerBase::give_back(int listening_fd) noexcept {
  std::erase_if(loans_, [=](const Loan& loan) { return loan.listening_fd == listening_fd; });
}

// ---- Draining ----

// asking_, drained_ and doors_ are made with the server, so that the end needs no memory.
void ServerBase::begin_end(Callback<void()> done) noexcept {
  done_ = std::move(done);
  if (std::exchange(draining_, true)) note_end();
}

// The last branch runs in the first turn of a server that adopted its sockets. They refuse new
// connections if an earlier server was killed during its drain, so they are made to accept again.
// Sockets that other processes have too are left alone: share_listeners() was called for them
// before this turn.
void ServerBase::on_doors() {
  if (target_ != nullptr) {
    offer_all();
  } else if (draining_) {
    close_listeners();
  } else if (!shared_) {
    for (const auto& listener : listeners_) Socket::accept_new(listener->fd());
  }
}

void ServerBase::note_end() noexcept {
  if (count_ == 0 && listeners_.empty()) drained_.schedule();
}

// Asks all connections to finish, which runs user code. If that code throws, the next turn asks the
// others. If a connection's callback is running, all are asked in the next turn. A Stream first
// reads the input that has arrived, but no other Stream can be read inside that callback, so their
// input would be lost.
void ServerBase::ask_all_to_end() {
  const Lifetime::Watch server(lifetime_);
  asking_.schedule();
  if (context_->in_callback()) return;
  connections_.ask_all_to_end();
  if (!server.over()) asking_.stop();
}

void ServerBase::drain(Callback<void()> done) {
  // The first drain after hand_over() has work to do too: it stops the offers.
  const bool first = !draining_ || target_ != nullptr;
  begin_end(std::move(done));
  if (!first) return;
  target_ = nullptr;
  std::chrono::milliseconds wait{0};
  for (const auto& listener : listeners_) {
    if (listener->address().is_unix()) continue;
    if (!shared_ && !Socket::refuse_new(listener->fd())) continue;
    if (adopted_ && !shared_) refused_in_ = process_generation();
    wait = std::max(wait, Socket::latest_arrival(listener->fd()));
  }
  doors_.start(wait);
  ask_all_to_end();
}

// Accepts the connections that are still queued, and closes the listeners. Connections beyond the
// limit are accepted too, because closing a listener cuts off the connections in its queue. For the
// same reason, this tries again later if the process lacks descriptors or memory. The handlers of
// these connections may give listeners back, throw, or destroy the server.
void ServerBase::close_listeners() {
  limits_.max_connections = std::numeric_limits<std::size_t>::max();
  limits_.max_waiting_handshakes = std::numeric_limits<std::size_t>::max();
  const Lifetime::Watch server(lifetime_);
  doors_.start(Duration::zero());  // if a handler throws, the next turn goes on
  bool starved = false;
  while (Listener* const listener = next_to_close()) {
    const std::uint64_t exhaustions = listener->exhaustions();
    accept_all(*listener);
    if (server.over()) return;
    if (next_to_close() != listener) continue;  // a handler gave it back
    starved = listener->exhaustions() != exhaustions;
    if (starved) break;
    if (loans_.empty()) let_in_again(*listener);
    loans_.empty() ? listeners_.pop_back() : loans_.pop_back();
  }
  starved ? doors_.start(Listener::kRetryDelay) : doors_.stop();
  note_end();
  ask_all_to_end();
}

Listener* ServerBase::next_to_close() const noexcept {
  if (!loans_.empty()) return loans_.back().listener.get();
  return listeners_.empty() ? nullptr : listeners_.back().get();
}

// Lets an adopted socket accept new connections again after drain() has refused them. The socket
// may live on in another process.
void ServerBase::let_in_again(const Listener& listener) const noexcept {
  if (refused_in_ == process_generation()) Socket::accept_new(listener.fd());
}

}  // namespace reactor
