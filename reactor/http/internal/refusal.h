// SPDX-License-Identifier: MIT
// Refusal: why a request is refused. Private to http/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reactor::http {

struct Refusal {
  int status = 400;
  const char* rule = "";  // the broken rule; never from the peer, valid forever
  // The byte that broke the rule, if it was a single one: its offset in the request, and its value.
  std::optional<std::uint64_t> place = std::nullopt;
  std::optional<char> byte = std::nullopt;

  // Returns "RULE; byte 27 is 0x20", for the log. ASCII without quotes.
  [[nodiscard]] std::string text() const;
};

}  // namespace reactor::http
