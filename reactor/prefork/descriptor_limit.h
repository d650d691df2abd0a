// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace reactor::prefork {

// Returns how many descriptors a process of the server needs before the first connection. The
// number is large enough for the master and for each worker. For each worker it counts a listener
// for each address, the two ends of its mailbox, a socket and a pipe to control it, the same socket
// and pipe for its predecessor during a reload, and one end of a mailbox of the program before an
// upgrade. A few more are for logs, the poller and signals. `workers` 0: one process without a
// master.
[[nodiscard]] std::uint64_t fixed_descriptors(unsigned workers, std::size_t addresses) noexcept;

// Returns how many descriptors this process may have open at the same time (RLIMIT_NOFILE), or 0 if
// getrlimit(2) fails.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;

// Raises the number of descriptors that this process and its children may have open. The new limit
// is `wanted`, or the hard limit if that is lower. If the hard limit is even lower than `needed`,
// and this process may raise it (setrlimit(2)), both limits become `needed`. Never lowers a limit.
// Returns the limit afterwards.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted, std::uint64_t needed) noexcept;

// Returns the message of `error`. If the error is that this process has too many open descriptors,
// adds how many it needs at least and how many it may have.
[[nodiscard]] std::string explain_limit(std::error_code error, std::uint64_t needed);

}  // namespace reactor::prefork
