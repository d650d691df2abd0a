// SPDX-License-Identifier: MIT
// Several layers need these functions on descriptors (fcntl(2)).
#pragma once

namespace reactor {

// Makes `fd` non-blocking and close-on-exec, and keeps its other status flags. Returns false on
// failure, with the reason in errno.
[[nodiscard]] bool make_private(int fd) noexcept;

// Returns the lowest descriptor number that this process could open now, or -1 if its limit leaves
// none. To find out, it duplicates `any`, which must be open, for a moment. Another thread may take
// the number meanwhile.
[[nodiscard]] int lowest_free_descriptor(int any) noexcept;

}  // namespace reactor
