// SPDX-License-Identifier: MIT
// next_coding() takes apart the list of codings in a Transfer-Encoding field. Private to http/.
#pragma once

#include <string_view>

namespace reactor::http {

// TransferCoding is one element of the list (RFC 9112 section 7): token *( OWS ";" OWS token BWS
// "=" BWS ( token / quoted-string ) ).
struct TransferCoding {
  std::string_view name;  // "" for an empty element
  bool parameters = false;
  bool malformed = false;  // the rest of the list was not looked at
};

// Removes the first element and the comma after it from `list`, and returns the element. An empty
// list has one empty element. The time is linear in the bytes removed.
[[nodiscard]] TransferCoding next_coding(std::string_view& list) noexcept;

}  // namespace reactor::http
