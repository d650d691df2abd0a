// SPDX-License-Identifier: MIT
// Errc: the errors that are the library's own. What the system reports keeps its errno, in
// std::system_category(), so that a caller can compare with std::errc either way.
#pragma once

#include <system_error>

namespace reactor {

enum class Errc {
  wrong_process = 1,  // a Loop or handle of the parent was used after fork()
  not_supported,      // this backend, transport or kernel can't do it (== std::errc::not_supported)
  nested_run,         // run(), run_once() or poll() was called from a callback of the same loop
  not_pollable,       // a regular file or directory: always ready, epoll refuses it
  handle_dead,        // the handle was stopped, or its descriptor or its loop is gone
  signal_taken,       // another Loop of this process watches that signal
  bad_address,        // text that is no address; see Address::parse for the forms
  address_too_long,   // a unix path of more than sizeof(sun_path) - 1 octets
  timed_out,          // a deadline of ours passed (== std::errc::timed_out)
  queue_full,         // the peer does not read: the write queue reached its hard cap
  unknown_backend,    // REACTOR_BACKEND or LoopOptions::backend names none that exists here
  not_listening,      // an inherited descriptor is no stream socket that listens
  not_bound,          // an inherited socket for datagrams has no address
  no_sockets,         // the service manager passed none (LISTEN_FDS)
  unknown_user,       // the system knows none of this name
  unknown_group,      // nor this group
  file_truncated,     // a file is shorter than what of it was to be sent
  control_truncated,  // descriptors that came with octets were lost, as this process has none free
  surplus_descriptors,  // more of them came than were expected
  bad_directory,        // the one that a new process was to start in can't be entered
  too_long,             // no end of it within the limit: a line, a message
  unexpected_end,       // the peer ended the stream in the middle of something
};

// Category of Errc, name "reactor". Lives for the whole program.
[[nodiscard]] const std::error_category& reactor_category() noexcept;

[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

// errno right now, as a code of std::system_category(). Call it on the line after the failing call.
[[nodiscard]] std::error_code last_system_error() noexcept;

// Whether a system call that failed may succeed later though nobody does anything: it was
// interrupted, nothing was there yet, or the kernel had no memory or buffer. It says nothing about
// the peer.
[[nodiscard]] bool is_transient(const std::error_code& error) noexcept;

// `number` is an errno value.
[[nodiscard]] inline std::error_code system_error(int number) noexcept {
  return {number, std::system_category()};
}

}  // namespace reactor

template <>
struct std::is_error_code_enum<reactor::Errc> : std::true_type {};
