// SPDX-License-Identifier: MIT
// Why a request is refused. Private to http/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace reactor::http {

struct Refusal {
  int status = 400;
  const char* rule = "";  // what was broken; never from the peer, lasts for ever
  // The byte that broke it: where, counted from the request's first, and which.
  std::optional<std::uint64_t> place = std::nullopt;
  std::optional<char> byte = std::nullopt;

  // "RULE; byte 27 is 0x20". For the log; ASCII without quotes.
  [[nodiscard]] std::string text() const;
};

}  // namespace reactor::http
