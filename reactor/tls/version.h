// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace reactor::tls {

// Of the protocol. There are none before 1.2 here.
enum class Version : std::uint16_t { v1_2 = 0x0303, v1_3 = 0x0304 };

}  // namespace reactor::tls
