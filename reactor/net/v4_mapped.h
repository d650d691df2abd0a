// SPDX-License-Identifier: MIT
// IPv4 addresses as IPv6 ones (RFC 4291 section 2.5.5.2). Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reactor {

using V6Bytes = std::array<std::uint8_t, 16>;

// Bytes of the prefix, in front of the IPv4 address.
inline constexpr std::size_t kV4MappedPrefix = 12;
// The prefix, and zeros where the IPv4 address goes.
inline constexpr V6Bytes kV4Mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace reactor
