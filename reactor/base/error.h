// SPDX-License-Identifier: MIT
// Errc lists the library's own errors. Errors of the system keep their errno value in
// std::system_category(). A caller can compare both kinds with std::errc.
#pragma once

#include <system_error>

namespace reactor {

enum class Errc {
  wrong_process = 1,  // a Loop or handle of the parent was used after fork()
  not_supported,      // this backend, transport or kernel can't do it (== std::errc::not_supported)
  nested_run,         // run(), run_once() or poll() was called from a callback of the same loop
  not_pollable,       // a regular file or directory: it is always ready, and epoll refuses it
  handle_dead,        // the handle was stopped, or its descriptor or its loop is gone
  signal_taken,       // another Loop of this process watches that signal
  bad_address,        // the text is not an address; Address::parse lists the forms
  address_too_long,   // a unix path longer than sizeof(sun_path) - 1 bytes
  timed_out,          // a deadline set in this library passed (== std::errc::timed_out)
  queue_full,         // the peer does not read: the write queue reached its hard cap
  unknown_backend,    // REACTOR_BACKEND or LoopOptions::backend names no backend built in here
  not_listening,      // an inherited descriptor is not a listening stream socket
  not_bound,          // an inherited datagram socket has no address
  no_sockets,         // the service manager passed no sockets (LISTEN_FDS)
  unknown_user,       // the system has no user of this name
  unknown_group,      // the system has no group of this name
  file_truncated,     // a file is shorter than the part of it that was to be sent
  control_truncated,  // passed descriptors were lost: this process has no free descriptor
  surplus_descriptors,  // the peer passed more descriptors than were expected
  bad_directory,        // the working directory for a new process can't be entered
  too_long,             // a line or message does not end within the limit
  unexpected_end,       // the peer ended the stream in the middle of an item
};

// Returns the category of Errc, named "reactor". It lives for the whole program.
[[nodiscard]] const std::error_category& reactor_category() noexcept;

[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

// Returns the current errno as a code of std::system_category(). Call it on the line after the
// failing call.
[[nodiscard]] std::error_code last_system_error() noexcept;

// Returns whether the same system call may succeed if it is repeated later. Such a call was
// interrupted, could not proceed without waiting, or found no memory or buffer in the kernel. The
// error says nothing about the peer.
[[nodiscard]] bool is_transient(const std::error_code& error) noexcept;

// Returns the code for `number`, an errno value.
[[nodiscard]] inline std::error_code system_error(int number) noexcept {
  return {number, std::system_category()};
}

}  // namespace reactor

template <>
struct std::is_error_code_enum<reactor::Errc> : std::true_type {};
