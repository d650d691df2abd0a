// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace reactor::prefork {

// Returns how many descriptors the master or a worker, whichever has more, has open before the
// first connection. For each worker this counts a listener for each address, the two ends of its
// mailbox, a socket and a pipe to control it, the same two for its predecessor during a reload, and
// one end of a mailbox of the program before an upgrade. A few more are for logs, the poller and
// signals. `workers` 0: one process without a master.
[[nodiscard]] std::uint64_t fixed_descriptors(unsigned workers, std::size_t addresses) noexcept;

// Returns how many descriptors this process may have open at the same time (RLIMIT_NOFILE), or 0 if
// getrlimit(2) fails.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;

// Raises the number of descriptors that this process and its children may have open. The new limit
// is `wanted`, or the hard limit if that is lower. If the process has the right (setrlimit(2)),
// first raises the hard limit, but only to `needed`. Never lowers a limit. Returns the limit
// afterwards.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted, std::uint64_t needed) noexcept;

// Returns the message of `error`. If this process ran out of descriptors, adds how many it needs at
// least and how many it may have.
[[nodiscard]] std::string explain_limit(std::error_code error, std::uint64_t needed);

}  // namespace reactor::prefork
