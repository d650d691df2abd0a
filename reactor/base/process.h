// SPDX-License-Identifier: MIT
// What fork() did to this process, for the price of a load. Kept by pthread_atfork(3); a raw
// clone(2) or vfork(2) goes unnoticed and is outside the contract.
#pragma once

#include <cstdint>

namespace reactor {

// A number that is another one in every forked child than in its parent. Async-signal-safe.
[[nodiscard]] std::uint32_t process_generation() noexcept;

// How often this process, or one that it descends from, has forked: while it stands still, a
// descriptor that was opened meanwhile has no copy in a child. Async-signal-safe.
[[nodiscard]] std::uint32_t fork_count() noexcept;

}  // namespace reactor
