// SPDX-License-Identifier: MIT
// Method is a request method.
#pragma once

#include <cstdint>
#include <string_view>

namespace reactor::http {

// Method has the methods of RFC 9110 section 9.3, and PATCH (RFC 5789). `other` stands for any
// other token; Request::method_token has its text.
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

// Returns the method's token, such as "GET"; "" for `other`. Any thread. The view is valid forever.
[[nodiscard]] std::string_view to_string(Method method) noexcept;

// Returns the method with this token (case-sensitive, RFC 9110 section 9.1), or `other` if there is
// none. Any thread.
[[nodiscard]] Method to_method(std::string_view token) noexcept;

}  // namespace reactor::http
