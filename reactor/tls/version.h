// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace reactor::tls {

// Version is a version of TLS. Versions before 1.2 are not supported.
enum class Version : std::uint16_t { v1_2 = 0x0303, v1_3 = 0x0304 };

}  // namespace reactor::tls
