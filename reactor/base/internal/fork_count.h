// SPDX-License-Identifier: MIT
// Two counts tell the library whether it now runs in a forked child, and whether a child may hold
// copies of this process's descriptors. Reading a count costs one load. Handlers of
// pthread_atfork(3) update them. The counts miss a raw clone(2) or a vfork(2), which are outside
// the contract.
#pragma once

#include <cstdint>

namespace reactor {

// Returns a number that differs between a process and each child that it forks. Async-signal-safe.
[[nodiscard]] std::uint32_t process_generation() noexcept;

// Returns the number of forks so far: those of this process, and those of its ancestors up to the
// fork that led to this process. If the count is the same as when a descriptor was opened, no child
// has a copy of that descriptor. Async-signal-safe.
[[nodiscard]] std::uint32_t fork_count() noexcept;

}  // namespace reactor
