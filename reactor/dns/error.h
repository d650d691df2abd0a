// SPDX-License-Identifier: MIT
// dns::Errc: why a name gave no address.
#pragma once

#include <system_error>

namespace reactor::dns {

enum class Errc {
  not_found = 1,   // there is no such name (NXDOMAIN; not in the hosts file either)
  no_data,         // the name is there, but has no address of the family asked for
  timed_out,       // no name server answered in time (== std::errc::timed_out)
  server_failure,  // no name server could tell: it failed (SERVFAIL), would not, or is not there
  bad_name,        // text that can't be a host name: empty, too long, a NUL octet in it
  bad_answer,      // an answer that makes no sense (also FORMERR)
  bad_options,     // a server that is no v4 or v6 address; a configuration path with a NUL byte
};

// Category of dns::Errc, name "dns". Lives for the whole program.
[[nodiscard]] const std::error_category& category() noexcept;

[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

}  // namespace reactor::dns

template <>
struct std::is_error_code_enum<reactor::dns::Errc> : std::true_type {};
