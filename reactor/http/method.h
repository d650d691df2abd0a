// SPDX-License-Identifier: MIT
// Method: the request methods that have a meaning of their own to a server.
#pragma once

#include <cstdint>
#include <string_view>

namespace reactor::http {

// RFC 9110 section 9.3, and PATCH of RFC 5789. `other`: any other token; its text is in the
// request.
enum class Method : std::uint8_t {
  get,
  head,
  post,
  put,
  del,  // DELETE: `delete` is a keyword
  connect,
  options,
  trace,
  patch,
  other,
};

// The token, "GET"; "" for `other`. Any thread; the view lasts for ever.
[[nodiscard]] std::string_view to_string(Method method) noexcept;

// The method of that token (case-sensitive, RFC 9110 section 9.1), else `other`. Any thread.
[[nodiscard]] Method to_method(std::string_view token) noexcept;

}  // namespace reactor::http
