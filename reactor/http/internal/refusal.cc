// SPDX-License-Identifier: MIT
#include "reactor/http/internal/refusal.h"

namespace reactor::http {

std::string Refusal::text() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(rule);
  if (offset) text += "; byte " + std::to_string(*offset);
  if (!byte) return text;
  const auto value = static_cast<unsigned char>(*byte);
  text += offset ? " is 0x" : "; byte 0x";
  text += kDigits[value >> 4U];
  text += kDigits[value & 15U];
  return text;
}

}  // namespace reactor::http
