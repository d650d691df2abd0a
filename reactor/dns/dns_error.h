// SPDX-License-Identifier: MIT
// dns::Errc lists the reasons why a name has no address.
#pragma once

#include <system_error>

namespace reactor::dns {

enum class Errc {
  not_found = 1,   // there is no such name (NXDOMAIN, and it is not in the hosts file)
  no_data,         // the name exists, but has no address of the requested family
  timed_out,       // no name server answered in time (== std::errc::timed_out)
  server_failure,  // all name servers failed (SERVFAIL), refused or can't be reached
  bad_name,        // not a host name: the text is empty, too long, or has a NUL byte
  bad_answer,      // the answer is malformed, or the server sent FORMERR
  bad_options,     // a server is not a v4 or v6 address; a configuration path has a NUL byte
};

// Returns the category of dns::Errc, named "dns". It lives for the whole program.
[[nodiscard]] const std::error_category& category() noexcept;

[[nodiscard]] std::error_code make_error_code(Errc code) noexcept;

}  // namespace reactor::dns

template <>
struct std::is_error_code_enum<reactor::dns::Errc> : std::true_type {};
