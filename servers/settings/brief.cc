// SPDX-License-Identifier: MIT
#include "servers/settings/brief.h"

#include "reactor/base/printable.h"

namespace servers {
namespace {

bool is_inside_character(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

}  // namespace

std::string brief(std::string_view text) {
  constexpr std::size_t kMostInside = 3;  // bytes of a UTF-8 character after its first
  if (text.size() <= kBrief) return reactor::printable(text);
  std::size_t end = kBrief;
  while (is_inside_character(text[end]) && kBrief - end < kMostInside) --end;
  return reactor::printable(text.substr(0, end)) + "... (" + std::to_string(text.size()) +
         " bytes)";
}

}  // namespace servers
