// SPDX-License-Identifier: MIT
// The reason phrases of the status codes.
#pragma once

#include <string_view>

namespace reactor::http {

// The phrase of RFC 9110 section 15, RFC 6585, 8297, 7725, 5842 or 4918: "Not Found" for 404. ""
// for a code that has none: it may be sent like that (RFC 9112 section 4). Any thread; the view
// lasts for ever.
[[nodiscard]] std::string_view reason_phrase(int status) noexcept;

}  // namespace reactor::http
