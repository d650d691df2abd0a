// SPDX-License-Identifier: MIT
// Refusal tells why a request is refused. Private to http/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reactor::http {

struct Refusal {
  int status = 400;
  const char* rule = "";  // the broken rule; not from the peer, valid forever
  // If a single byte broke the rule, these are its offset in the request and its value.
  std::optional<std::uint64_t> offset = std::nullopt;
  std::optional<char> byte = std::nullopt;

  // Returns a text for the log, such as "RULE; byte 27 is 0x20". It is ASCII without quotes.
  [[nodiscard]] std::string text() const;
};

}  // namespace reactor::http
