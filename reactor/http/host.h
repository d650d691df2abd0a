// SPDX-License-Identifier: MIT
// The syntax of "host[:port]" in Host and in request targets (RFC 3986 section 3.2). Internal.
#pragma once

#include <cstdint>
#include <string_view>

namespace reactor::http {

enum class PortRule : std::uint8_t { optional, required };

// uri-host [":" port]: an IPv6 literal in brackets, or a registered name, which covers IPv4. A port
// has digits only and is at most 65535; `optional` allows it to be empty as well ("host:"). The
// host may be empty: a Host field without a value is legal (RFC 9112 section 3.2). IPvFuture and
// zone identifiers are refused: nothing sends them.
[[nodiscard]] bool valid_authority(std::string_view text, PortRule rule) noexcept;

}  // namespace reactor::http
