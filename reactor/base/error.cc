// SPDX-License-Identifier: MIT
#include "reactor/base/error.h"

#include <cerrno>
#include <string>

namespace reactor {
namespace {

class ReactorCategory final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "reactor"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::wrong_process:
        return "loop of another process: call reinit_after_fork() or make a new Loop after fork()";
      case Errc::not_supported:
        return "not supported by this backend, transport or kernel";
      case Errc::nested_run:
        return "the loop is already running: a callback may not run it again";
      case Errc::not_pollable:
        return "regular files can't be watched: they are always ready";
      case Errc::handle_dead:
        return "the handle is dead: it was stopped, or its descriptor or its loop is gone";
      case Errc::signal_taken:
        return "another loop of this process watches this signal";
      case Errc::bad_address:
        return "not an address: use HOST:PORT, :PORT, [V6]:PORT, unix:PATH or unix:@NAME; for "
               "datagrams udp:HOST:PORT, unixgram:PATH or unixgram:@NAME";
      case Errc::address_too_long:
        return "unix socket path too long";
      case Errc::timed_out:
        return "timed out";
      case Errc::queue_full:
        return "the peer does not read, and the write queue is full";
      case Errc::unknown_backend:
        return "no such backend here: use auto, epoll, kqueue or select as available";
      case Errc::not_bound:
        return "a datagram socket that is not bound";
      case Errc::not_listening:
        return "not a listening stream socket";
      case Errc::no_sockets:
        return "no sockets were passed to this process (LISTEN_FDS)";
      case Errc::unknown_user:
        return "no such user";
      case Errc::unknown_group:
        return "no such group";
      case Errc::file_truncated:
        return "the file is shorter than the part of it that was to be sent";
      case Errc::control_truncated:
        return "descriptors were lost on their way: raise the limit of open files (ulimit -n)";
      case Errc::surplus_descriptors:
        return "the peer passed more descriptors than were expected";
      case Errc::bad_directory:
        return "the working directory for the new process can't be entered";
      case Errc::too_long:
        return "longer than the limit";
      case Errc::unexpected_end:
        return "the peer ended the stream in the middle of an item";
    }
    return "unknown reactor error " + std::to_string(value);
  }

  // Makes `code == std::errc::timed_out` true for this library's timeouts too, not only for the
  // system's.
  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<Errc>(value)) {
      case Errc::not_supported:
        return std::errc::not_supported;
      case Errc::timed_out:
        return std::errc::timed_out;
      case Errc::too_long:
        return std::errc::message_size;
      case Errc::bad_address:
        return std::errc::invalid_argument;
      case Errc::address_too_long:
        return std::errc::filename_too_long;
      default:
        return {value, *this};
    }
  }
};

}  // namespace

const std::error_category& reactor_category() noexcept {
  static const ReactorCategory category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), reactor_category()};
}

bool is_transient(const std::error_code& error) noexcept {
  const auto is = [&error](std::errc code) { return error == code; };
  return is(std::errc::interrupted) || is(std::errc::resource_unavailable_try_again) ||
         is(std::errc::not_enough_memory) || is(std::errc::no_buffer_space);
}

std::error_code last_system_error() noexcept { return system_error(errno); }

}  // namespace reactor
