// SPDX-License-Identifier: MIT
#include "reactor/net/server.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <new>
#include <vector>

#include "reactor/net/proxy_gate.h"
#include "reactor/net/proxy_header.h"

namespace reactor {
namespace {

// For logs, wake-ups, files that a handler opens.
constexpr std::size_t kDescriptorReserve = 64;

// Between two offers to a successor; from the one to the other it doubles.
constexpr Duration kFirstOffer = std::chrono::milliseconds(10);
constexpr Duration kLastOffer = std::chrono::milliseconds(640);

// Says before a handler's state whose connection it is, as a proxy would. So no state is empty but
// that of a connection of which nobody has made anything yet.
class Introduction final : public Successor {
 public:
  Introduction(Successor& successor, const Stream& stream)
      : successor_(successor), stream_(stream) {}

  Answer take(int fd, std::span<const std::byte> state) noexcept override {
    try {
      std::vector<std::byte> letter = proxy_header(stream_.announced());
      letter.insert(letter.end(), state.begin(), state.end());
      return successor_.take(fd, letter);
    } catch (const std::bad_alloc&) {
      return Answer::never;
    }
  }

 private:
  Successor& successor_;
  const Stream& stream_;
};

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
  if (limits_.proxy.protocol == ProxyProtocol::off) return;
  gate_ = std::make_unique<ProxyGate>(
      loop_, limits_.proxy,
      [this](Socket socket, SourceLocation origin, const ProxiedAddresses* addresses) {
        start_connection(std::move(socket), origin, addresses, nullptr);
      },
      [this] { count_down(); });
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

// ---- Coming ----

void ServerBase::on_accept(Listener& listener, Socket connection) {
  if (keep_ && !keep_(connection)) return;
  ++accepted_;
  if (left_ > 0 && --left_ == 0) reached_();
  count_up();
  admit(std::move(connection), listener.where());
}

void ServerBase::admit(Socket connection, SourceLocation where) {
  if (gate_ != nullptr) {
    gate_->admit(std::move(connection), where);
  } else {
    start_connection(std::move(connection), where, nullptr, nullptr);
  }
}

Result<> ServerBase::take_over(Socket connection, std::span<const std::byte> state) {
  const int flags = ::fcntl(connection.fd(), F_GETFL);
  if (flags < 0 || ::fcntl(connection.fd(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return last_system_error();
  }
  if (state.empty()) {
    count_up();
    admit(std::move(connection), where_);
    return {};
  }
  ProxyHeaderParser introduction(ProxyProtocol::v2);
  const ProxyHeaderParser::Step step = introduction.next(state);
  if (step.state != ProxyHeaderParser::State::done)
    return std::make_error_code(std::errc::bad_message);
  const auto& addresses = introduction.addresses();
  const std::span<const std::byte> rest = state.subspan(step.consumed);
  count_up();
  start_connection(std::move(connection), where_, addresses ? &*addresses : nullptr, &rest);
  return {};
}

void ServerBase::count_up() noexcept {
  counter_->set(++connections_);
  if (connections_ < limits_.max_connections) return;
  full_ = true;
  pause_all();
}

void ServerBase::pause_all() noexcept {
  for (const auto& listener : listeners_) listener->pause();
  for (const Loan& loan : loans_) loan.listener->pause();
}

void ServerBase::count_down() noexcept {
  counter_->set(--connections_);
  if (full_ && !successor_ && connections_ < limits_.max_connections) {
    full_ = false;
    for (const auto& listener : listeners_) static_cast<void>(listener->resume());
    for (const Loan& loan : loans_) static_cast<void>(loan.listener->resume());
  }
  if (draining_ && connections_ == 0 && listeners_.empty()) drained_.schedule();
}

void ServerBase::set_counter(Counter& connections) noexcept {
  counter_ = &connections;
  counter_->set(connections_);
}

void ServerBase::set_limit(std::uint64_t connections, Callback<void()> reached) {
  left_ = connections;
  reached_ = std::move(reached);
}

// ---- For siblings ----

Result<> ServerBase::borrow(int listening_fd) {
  if (draining_) return {};  // who is on the way out accepts from nobody
  UniqueFd copy(::fcntl(listening_fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return last_system_error();
  Result<std::unique_ptr<Listener>> listener =
      Listener::adopt(loop_, Socket(std::move(copy)), *this, false, where_);
  if (!listener) return listener.error();
  if (full_) (*listener)->pause();
  loans_.push_back({listening_fd, std::move(*listener)});
  return {};
}

void ServerBase::give_back(int listening_fd) noexcept {
  std::erase_if(loans_, [=](const Loan& loan) { return loan.listening_fd == listening_fd; });
}

// ---- Going ----

// A batch that is less than full found the end of the queue.
void ServerBase::empty_queue(Listener& listener) {
  std::uint64_t before = 0;
  do {
    before = accepted_;
    listener.accept_now();
  } while (accepted_ - before == Listener::kAcceptBudget);
}

void ServerBase::begin_end(Callback<void()> done) {
  done_ = std::move(done);
  if (std::exchange(draining_, true)) return;
  drained_ = loop_.deferred([this] {
    if (done_) done_();
  });
}

void ServerBase::drain(Callback<void()> done) {
  const bool first = !draining_ || successor_ != nullptr;
  begin_end(std::move(done));
  if (!first) return;
  successor_ = nullptr;
  std::chrono::milliseconds wait{0};
  for (const auto& listener : listeners_) {
    if (listener->address().is_unix() || !Socket::refuse_new(listener->fd())) continue;
    wait = std::max(wait, Socket::latest_arrival(listener->fd()));
  }
  doors_ = loop_.after(wait, [this] { close_listeners(); });
  shut_connections_down();
}

// Who came in since the drain began finds a server that is going away.
void ServerBase::close_listeners() {
  for (const auto& listener : listeners_) empty_queue(*listener);
  for (const Loan& loan : loans_) empty_queue(*loan.listener);
  listeners_.clear();
  loans_.clear();
  shut_connections_down();
  if (connections_ == 0) drained_.schedule();
}

void ServerBase::hand_over(Successor& successor, Callback<void()> done) {
  if (draining_) return;
  begin_end(std::move(done));
  successor_ = &successor;
  listeners_.clear();
  loans_.clear();
  next_offer_ = kFirstOffer;
  doors_ = loop_.timer([this] { retry_hand_over(); });
  doors_.start(Duration::zero());
  if (connections_ == 0) drained_.schedule();
}

// Now and then, as a connection may be idle at any moment.
void ServerBase::retry_hand_over() {
  if (successor_ == nullptr) return;
  offer_connections();
  if (successor_ == nullptr || connections_ == 0) return;
  doors_.start(next_offer_);
  next_offer_ = std::min(next_offer_ * 2, kLastOffer);
}

bool ServerBase::offer(Stream& stream) {
  Introduction introduction(*successor_, stream);
  const Stream::Moved moved = stream.migrate(introduction);
  if (moved == Stream::Moved::never && !stream.closing()) stream.request_shutdown();
  return moved != Stream::Moved::no_room;
}

}  // namespace reactor
