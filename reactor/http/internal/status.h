// SPDX-License-Identifier: MIT
// reason_phrase() has the texts that belong to status codes.
#pragma once

#include <string_view>

namespace reactor::http {

// Returns the reason phrase of RFC 9110 section 15, RFC 6585, 8297, 7725, 5842 or 4918: "Not Found"
// for 404. Returns "" for a code that has none; a status line may be sent without a phrase (RFC
// 9112 section 4). Any thread. The view is valid forever.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

}  // namespace reactor::http
