// SPDX-License-Identifier: MIT
// Several layers need these functions on descriptors (fcntl(2)).
#pragma once

namespace reactor {

// Makes `fd` non-blocking and close-on-exec, and keeps its other status flags. Returns false on
// failure, with the reason in errno.
[[nodiscard]] bool make_private(int fd) noexcept;

// Returns the lowest descriptor number that this process could open now, or -1 if its limit leaves
// none. `any` must be an open descriptor: the function duplicates it for a moment to learn the
// number. Another thread may take the number before the caller uses it.
[[nodiscard]] int lowest_free_descriptor(int any) noexcept;

}  // namespace reactor
