// SPDX-License-Identifier: MIT
// valid_authority() checks the syntax of "host[:port]" in Host and in request targets (RFC 3986
// section 3.2). Private to http/.
#pragma once

#include <cstdint>
#include <string_view>

namespace reactor::http {

enum class PortRule : std::uint8_t { optional, required };

// Returns whether the text is a uri-host [":" port]. The host is an IPv6 literal in brackets or a
// registered name, which includes IPv4 addresses. The port has only digits and is at most 65535.
// With PortRule::optional the host may be empty, because a Host field without a value is legal (RFC
// 9112 section 3.2), and the port may be missing or empty ("host:"). With PortRule::required
// neither may be empty. IPvFuture and zone identifiers are refused, because no client sends them.
[[nodiscard]] bool valid_authority(std::string_view text, PortRule rule) noexcept;

}  // namespace reactor::http
