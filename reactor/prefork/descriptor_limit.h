// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <system_error>

namespace reactor::prefork {

// Descriptors that the master has open, or a worker, whichever has more, before the first
// connection. For each worker: a listener for each address, the two ends of its mailbox, a socket
// and a pipe to control it, the same for its predecessor during a reload, and one end of a mailbox
// of the program before an upgrade. Besides those a few for logs, the poller and signals.
// `workers` 0: one process without a master.
[[nodiscard]] std::uint64_t fixed_descriptors(unsigned workers, std::size_t addresses) noexcept;

// How many this process may have open at once (RLIMIT_NOFILE); 0 if that can't be asked.
[[nodiscard]] std::uint64_t descriptor_limit() noexcept;

// Raises the number of descriptors that this process and those it forks may open: to `wanted` as
// far as the hard limit goes, and beyond that for `needed` only, if the process has the right
// (setrlimit(2)). Never lowers it. Returns the limit afterwards.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted, std::uint64_t needed) noexcept;

// The message of `error`, and where this process ran out of descriptors, how many it needs at least
// and may have.
[[nodiscard]] std::string explain_limit(std::error_code error, std::uint64_t needed);

}  // namespace reactor::prefork
