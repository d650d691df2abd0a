// SPDX-License-Identifier: MIT
// Checks the syntax of "host[:port]" in Host and in request targets (RFC 3986 section 3.2).
// Internal.
#pragma once

#include <cstdint>
#include <string_view>

namespace reactor::http {

enum class PortRule : std::uint8_t { optional, required };

// Returns whether the text is a uri-host [":" port]. The host is an IPv6 literal in brackets or a
// registered name, which includes IPv4 addresses. It may be empty, because a Host field without a
// value is legal (RFC 9112 section 3.2). The port has only digits and is at most 65535. With
// `optional` it may be missing or empty ("host:"). IPvFuture and zone identifiers are refused,
// because no client sends them.
[[nodiscard]] bool valid_authority(std::string_view text, PortRule rule) noexcept;

}  // namespace reactor::http
