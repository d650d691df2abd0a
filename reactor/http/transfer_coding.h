// SPDX-License-Identifier: MIT
// The transfer codings of a Transfer-Encoding field. Internal.
#pragma once

#include <string_view>

namespace reactor::http {

// One element of the list (RFC 9112 section 7): token *( OWS ";" OWS token BWS "=" BWS ( token /
// quoted-string ) ).
struct TransferCoding {
  std::string_view name;  // "" for an empty element
  bool parameters = false;
  bool malformed = false;  // nothing behind it was looked at
};

// Takes the front element, and the comma behind it, off `list`; an empty list has one empty
// element. The work is linear in what is taken.
[[nodiscard]] TransferCoding next_coding(std::string_view& list) noexcept;

}  // namespace reactor::http
