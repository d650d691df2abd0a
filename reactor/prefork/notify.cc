// SPDX-License-Identifier: MIT
#include "reactor/prefork/notify.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/base/printable.h"

namespace reactor::prefork {
namespace {

constexpr suseconds_t kLongestSend = 100'000;  // microseconds; the manager may be busy
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
  const timeval limit{0, kLongestSend};
  if (!fd || ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0) {
    return {};
  }
  return fd;
}

std::string status_line(std::string_view text) { return "STATUS=" + printable(text); }

std::string with_status(std::string_view state, std::string_view status) {
  return std::string(state) + (status.empty() ? "" : "\n" + status_line(status));
}

// WATCHDOG_PID names the process that the watchdog is for; without it, it is for any process.
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

void Notifier::ready(std::string_view status) const { send(with_status("READY=1", status)); }

void Notifier::reloading() const {
  const auto now = monotonic_now().time_since_epoch() / std::chrono::microseconds(1);
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now));
}

void Notifier::stopping(std::string_view status, Duration limit) const {
  std::string text = with_status("STOPPING=1", status);
  if (limit > Duration::zero()) {
    text += "\nEXTEND_TIMEOUT_USEC=" + std::to_string(limit / std::chrono::microseconds(1));
  }
  send(text);
}

void Notifier::status(std::string_view text) const { send(status_line(text)); }

void Notifier::watchdog() const { send("WATCHDOG=1"); }

void Notifier::main_pid(pid_t pid) const { send("MAINPID=" + std::to_string(pid) + "\nREADY=1"); }

void Notifier::send(std::string_view message) const {
  if (!fd_) return;
  const ssize_t sent =
      ::sendto(fd_.get(), message.data(), message.size(), 0, manager_.data(), manager_.size());
  if (sent >= 0) return;
  const std::error_code error = last_system_error();
  REACTOR_LOG(warn, "can't tell the service manager '" +
                        std::string(message.substr(0, message.find('\n'))) +
                        "': " + error.message());
}

}  // namespace reactor::prefork
