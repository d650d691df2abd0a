// SPDX-License-Identifier: MIT
// A waiting address becomes the connection in these steps:
//
//   waiting_ --start_attempts()--> running_ --on_writable()--> finish(socket)
//                                     |  ^
//                                     |  '-- retry(): a full unix backlog
//                                     '--fail()--> start_attempts(); the last one: finish(error)
//
// Only finish() runs the callback. finish() is called only from callbacks of the loop, never from
// connect(), add() or no_more().
#include "reactor/net/connector.h"

#include <algorithm>
#include <utility>

#include "reactor/base/error.h"

namespace reactor {
namespace {

constexpr Duration kLeastDelay = std::chrono::milliseconds(10);

// Returns the class of an error. A higher class tells more about the host.
int weight(std::error_code error) noexcept {
  const auto is_one_of = [&](auto... conditions) { return ((error == conditions) || ...); };
  using std::errc;
  if (is_one_of(errc::connection_refused, errc::connection_reset, errc::connection_aborted)) {
    return 3;
  }
  if (error == errc::timed_out) return 1;
  const bool no_way =
      is_one_of(errc::network_unreachable, errc::host_unreachable, errc::network_down,
                errc::address_family_not_supported, errc::address_not_available);
  return no_way ? 0 : 2;
}

// Returns whether the socket has connected to itself. That happens if no server listens on a port
// of this host, and the kernel picks that port as this side's port too: the connection is then a
// simultaneous open (RFC 9293 section 3.5). The comparison with `address` covers only the port,
// because the host may be a wildcard (0.0.0.0).
bool connected_to_itself(const Socket& socket, const Address& address) {
  if (address.is_unix()) return false;
  const Result<Address> local = socket.local();
  if (!local || local->port() != address.port()) return false;
  const Result<Address> peer = socket.peer();
  return peer && *local == *peer;
}

}  // namespace

Connector::Connector(Loop& loop, const ConnectOptions& options, Done done, SourceLocation where)
    : loop_(&loop),
      options_(options),
      done_(std::move(done)),
      where_(where),
      delay_(loop.timer([this] { start_attempts(); }, where)),
      retry_(loop.timer([this] { retry(); }, where)),
      deadline_(loop.after(
          options.timeout,
          [this] {
            cancel_running(make_error_code(Errc::timed_out));
            finish(Errc::timed_out);
          },
          where)) {
  options_.attempt_delay = std::max(options_.attempt_delay, kLeastDelay);
}

Result<std::unique_ptr<Connector>> Connector::grow(Loop& loop, const ConnectOptions& options,
                                                   Done done, SourceLocation where) {
  if (!loop.in_own_process()) return Errc::wrong_process;
  if (!done) return std::make_error_code(std::errc::invalid_argument);
  return std::unique_ptr<Connector>(new Connector(loop, options, std::move(done), where));
}

Result<std::unique_ptr<Connector>> Connector::connect(Loop& loop,
                                                      std::span<const Address> addresses,
                                                      const ConnectOptions& options, Done done,
                                                      SourceLocation where) {
  Result<std::unique_ptr<Connector>> connector = grow(loop, options, std::move(done), where);
  if (!connector) return connector;
  (*connector)->add(addresses);
  (*connector)->no_more();
  return connector;
}

Result<std::unique_ptr<Connector>> Connector::connect(Loop& loop, const Address& address,
                                                      const ConnectOptions& options, Done done,
                                                      SourceLocation where) {
  return connect(loop, std::span(&address, 1), options, std::move(done), where);
}

void Connector::add(std::span<const Address> addresses) {
  if (!pending()) return;
  // The memory is reserved here, because attempts start in a timer's callback, where nobody could
  // catch a bad_alloc.
  running_.reserve(attempts_.size() + waiting_.size() + addresses.size());
  attempts_.reserve(attempts_.size() + waiting_.size() + addresses.size());
  waiting_.insert(waiting_.end(), addresses.begin(), addresses.end());
  schedule();
}

void Connector::no_more() {
  growing_ = false;
  if (pending()) schedule();
}

// Uses the timer even for an immediate start, because an attempt may call the user's callback,
// which must not run inside the user's call of add() or no_more().
void Connector::schedule() {
  if (running_.empty()) {
    delay_.start(Duration::zero());
  } else if (!waiting_.empty() && !delay_.active()) {
    delay_.start(next_start_ - loop_->start_time());
  }
}

// Returns the index of the waiting address to try next: the first one of another family than the
// latest attempt, or else the first one of all.
std::size_t Connector::next() const noexcept {
  if (attempts_.empty()) return 0;
  const auto differs = [latest = attempts_.back().address.family()](const Address& address) {
    return address.family() != latest;
  };
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), differs);
  return found == waiting_.end() ? 0 : static_cast<std::size_t>(found - waiting_.begin());
}

void Connector::start_attempts() {
  delay_.stop();
  while (!waiting_.empty()) {
    const auto chosen = waiting_.begin() + static_cast<std::ptrdiff_t>(next());
    running_.push_back({attempts_.size(), Socket(), IoWatcher()});
    attempts_.push_back({*chosen, {}});
    waiting_.erase(chosen);
    const std::error_code error = begin(running_.back());
    if (!error) {
      next_start_ = saturating_add(loop_->start_time(), options_.attempt_delay);
      if (!waiting_.empty()) delay_.start(options_.attempt_delay);
      return;
    }
    attempts_.back().error = error;
    running_.pop_back();
  }
  next_start_ = {};
  if (running_.empty() && !growing_) finish(most_telling_error());
}

std::error_code Connector::begin(Running& attempt) {
  const Address& address = attempts_[attempt.number].address;
  Result<Socket> socket = Socket::connect(address, options_);
  if (!socket) {
    const std::error_code error = socket.error();
    if (error != std::errc::resource_unavailable_try_again || !address.is_unix()) return error;
    retry_.start(kRetryDelay);
    return {};
  }
  attempt.socket = std::move(*socket);
  Result<IoWatcher> watcher = loop_->watch(
      attempt.socket.fd(), Interest::write,
      [this, number = attempt.number](Ready) { on_writable(number); }, where_);
  if (!watcher) return watcher.error();
  attempt.watcher = std::move(*watcher);
  return {};
}

std::vector<Connector::Running>::iterator Connector::find(std::size_t number) noexcept {
  return std::find_if(running_.begin(), running_.end(),
                      [=](const Running& one) { return one.number == number; });
}

void Connector::on_writable(std::size_t number) {
  const auto found = find(number);
  const std::error_code error =
      Socket::finish_connect(found->socket.fd(), attempts_[number].address);
  if (error == std::errc::connection_already_in_progress) return;
  if (error) return fail(number, error);
  if (connected_to_itself(found->socket, attempts_[number].address)) {
    Socket::reset_on_close(found->socket.fd());  // otherwise the port is taken for a minute
    return fail(number, std::make_error_code(std::errc::connection_refused));
  }
  found->watcher = IoWatcher();
  Socket winner = std::move(found->socket);
  running_.erase(found);
  cancel_running(std::make_error_code(std::errc::operation_canceled));
  finish(std::move(winner));
}

void Connector::retry() {
  for (Running& attempt : running_) {
    if (attempt.socket) continue;
    const std::error_code error = begin(attempt);
    if (!error) continue;
    retry_.start(kRetryDelay);  // for the other attempts
    return fail(attempt.number, error);
  }
}

void Connector::fail(std::size_t number, std::error_code error) {
  attempts_[number].error = error;
  const auto found = find(number);
  found->watcher = IoWatcher();  // before erase(), which would close the socket first
  running_.erase(found);
  const bool was_latest = number + 1 == attempts_.size();
  if (was_latest || running_.empty()) start_attempts();
}

std::error_code Connector::most_telling_error() const noexcept {
  if (attempts_.empty()) return std::make_error_code(std::errc::destination_address_required);
  return std::max_element(attempts_.begin(), attempts_.end(),
                          [](const ConnectAttempt& a, const ConnectAttempt& b) {
                            return weight(a.error) < weight(b.error);
                          })
      ->error;
}

void Connector::cancel_running(std::error_code error) {
  for (const Running& one : running_) attempts_[one.number].error = error;
  running_.clear();
}

// Calls done_, which may destroy this object.
void Connector::finish(Result<Socket> result) {
  waiting_.clear();
  delay_.stop();
  retry_.stop();
  deadline_.stop();
  Done done = std::move(done_);
  if (done) done(std::move(result));
}

}  // namespace reactor
