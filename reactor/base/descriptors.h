// SPDX-License-Identifier: MIT
// What several layers ask of descriptors (fcntl(2)).
#pragma once

namespace reactor {

// Makes `fd` non-blocking and closed on exec. Its other status flags stay. False: errno says why.
[[nodiscard]] bool make_private(int fd) noexcept;

// The lowest number that this process could open now; -1 if its limit leaves none. Asks by copying
// `any`, which is open, for a moment: another thread may take the number meanwhile.
[[nodiscard]] int lowest_free_descriptor(int any) noexcept;

}  // namespace reactor
