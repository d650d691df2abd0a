// SPDX-License-Identifier: MIT
// These constants describe IPv4 addresses that are mapped into IPv6 (RFC 4291 section 2.5.5.2).
// Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace reactor {

using V6Bytes = std::array<std::uint8_t, 16>;

// The length in bytes of the prefix before the IPv4 address.
inline constexpr std::size_t kV4MappedPrefix = 12;
// The prefix, with zeros in place of the IPv4 address.
inline constexpr V6Bytes kV4Mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace reactor
