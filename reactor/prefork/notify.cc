// SPDX-License-Identifier: MIT
// Notifier: messages go out in order. The first message that does not fit into the manager's queue,
// and all messages after it, wait in waiting_.
#include "reactor/prefork/notify.h"

#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/base/log.h"
#include "reactor/base/printable.h"

namespace reactor::prefork {
namespace {

constexpr std::int64_t kMostMicroseconds = INT64_MAX / 1000;

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

// Takes `/path` and `@abstract`. Other forms, such as vsock:, are not supported.
Result<Address> manager_address(std::string_view text) {
  if (text.starts_with('@')) return Address::unix_abstract(text.substr(1));
  if (text.starts_with('/')) return Address::unix_path(text);
  return Errc::not_supported;
}

UniqueFd datagram_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM, 0));
  if (!fd || !make_private(fd.get())) return {};
  return fd;
}

std::string status_line(std::string_view text) { return "STATUS=" + printable(text); }

std::string with_status(std::string_view state, std::string_view status) {
  return std::string(state) + (status.empty() ? "" : "\n" + status_line(status));
}

std::string_view first_line(std::string_view message) {
  return message.substr(0, message.find('\n'));
}

// Returns the name of the first variable, which tells the kind of the message.
std::string_view kind_of(std::string_view message) { return message.substr(0, message.find('=')); }

// Returns 0 if there is no watchdog, or if it is for another process. WATCHDOG_PID names the
// process; if that variable is not set, the watchdog is for any process.
Duration interval() {
  const auto microseconds = number_in(variable("WATCHDOG_USEC"));
  const std::string_view pid = variable("WATCHDOG_PID");
  if (!microseconds || *microseconds <= 0 || *microseconds > kMostMicroseconds) return {};
  if (!pid.empty() && number_in(pid) != ::getpid()) return {};
  return std::chrono::microseconds(*microseconds);
}

}  // namespace

Notifier::Notifier() {
  const std::string_view name = variable("NOTIFY_SOCKET");
  if (name.empty()) return;
  Result<Address> address = manager_address(name);
  if (!address) {
    REACTOR_LOG(warn, "NOTIFY_SOCKET " + std::string(name) + ": " + address.error().message());
    return;
  }
  manager_ = *address;
  fd_ = datagram_socket();
  if (fd_) watchdog_interval_ = interval();
}

void Notifier::ready(std::string_view status) { send(with_status("READY=1", status)); }

void Notifier::reloading() {
  const auto now = monotonic_now().time_since_epoch() / std::chrono::microseconds(1);
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now));
}

void Notifier::stopping(std::string_view status, Duration limit) {
  std::string text = with_status("STOPPING=1", status);
  if (limit > Duration::zero()) {
    text += "\nEXTEND_TIMEOUT_USEC=" + std::to_string(limit / std::chrono::microseconds(1));
  }
  send(std::move(text));
}

void Notifier::status(std::string_view text) { send(status_line(text)); }

void Notifier::watchdog() { send("WATCHDOG=1"); }

bool Notifier::main_pid(pid_t pid) {
  flush();
  return !waits() && deliver("MAINPID=" + std::to_string(pid) + "\nREADY=1");
}

void Notifier::send(std::string message) {
  flush();
  if (!waits() && deliver(message)) return;
  std::erase_if(waiting_,
                [&](const std::string& each) { return kind_of(each) == kind_of(message); });
  waiting_.push_back(std::move(message));
}

void Notifier::flush() {
  while (waits() && deliver(waiting_.front())) waiting_.erase(waiting_.begin());
}

// Returns false if the message has to be sent again later.
bool Notifier::deliver(std::string_view message) {
  if (!fd_) return true;
  const ssize_t sent =
      ::sendto(fd_.get(), message.data(), message.size(), 0, manager_.data(), manager_.size());
  const std::error_code error = sent < 0 ? last_system_error() : std::error_code{};
  const bool was_full = std::exchange(full_, is_transient(error));
  if (!error || (full_ && was_full)) return !full_;
  REACTOR_LOG(warn, "can't tell the service manager '" + std::string(first_line(message)) +
                        "': " + error.message() + (full_ ? "; trying again" : ""));
  return !full_;
}

}  // namespace reactor::prefork
