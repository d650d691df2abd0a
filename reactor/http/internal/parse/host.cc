// SPDX-License-Identifier: MIT
#include "reactor/http/internal/parse/host.h"

#include <cstddef>

#include "reactor/http/internal/parse/chars.h"

namespace reactor::http {
namespace {

// Returns the length of the registered name at the start of the text, or npos if it has a '%'
// without two hexadecimal digits.
std::size_t reg_name_length(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (chars::is(chars::kRegName, text[i])) {
      ++i;
    } else if (text[i] != '%') {
      break;
    } else if (text.size() - i < 3 || !chars::all(chars::kHex, text.substr(i + 1, 2))) {
      return std::string_view::npos;
    } else {
      i += 3;
    }
  }
  return i;
}

bool valid_ipv4(std::string_view text) {
  for (int parts = 4; parts > 0; --parts) {
    const std::size_t length = parts == 1 ? text.size() : text.find('.');
    if (length == 0 || length > 3) return false;  // npos is > 3 too
    unsigned value = 0;
    for (const char digit : text.substr(0, length)) {
      if (!chars::is(chars::kDigit, digit)) return false;
      value = value * 10 + static_cast<unsigned>(digit - '0');
    }
    if (value > 255 || (length > 1 && text[0] == '0')) return false;
    text.remove_prefix(parts == 1 ? length : length + 1);
  }
  return true;
}

// Counts the 16-bit groups of an IPv6 address or of a part of one: up to four hexadecimal digits
// each, between colons. If `may_end_in_ipv4` is set, an IPv4 address may stand for the last two
// groups. Returns 0 for an empty text and -1 for a malformed one.
int ipv6_groups(std::string_view text, bool may_end_in_ipv4) {
  int groups = 0;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && may_end_in_ipv4 && valid_ipv4(group)) return groups + 2;
    if (group.empty() || group.size() > 4 || !chars::all(chars::kHex, group)) return -1;
    ++groups;
    if (last) return groups;
    text.remove_prefix(colon + 1);
    if (text.empty()) return -1;  // "1:"
  }
  return groups;
}

bool valid_ipv6(std::string_view text) {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) return ipv6_groups(text, true) == 8;
  const int before = ipv6_groups(text.substr(0, gap), false);
  const int after = ipv6_groups(text.substr(gap + 2), true);
  return before >= 0 && after >= 0 && before + after <= 7;
}

bool valid_port(std::string_view text, PortRule rule) {
  if (text.empty()) return rule == PortRule::optional;
  std::uint32_t port = 0;
  for (const char digit : text) {
    if (!chars::is(chars::kDigit, digit)) return false;
    port = port * 10 + static_cast<std::uint32_t>(digit - '0');
    if (port > 65535) return false;
  }
  return true;
}

}  // namespace

bool valid_authority(std::string_view text, PortRule rule) noexcept {
  std::size_t length = 0;
  if (text.starts_with('[')) {
    length = text.find(']');
    if (length == std::string_view::npos || !valid_ipv6(text.substr(1, length - 1))) return false;
    ++length;
  } else {
    length = reg_name_length(text);
    if (length == std::string_view::npos) return false;
  }
  const std::string_view rest = text.substr(length);
  if (rest.empty()) return rule == PortRule::optional;
  if (rest[0] != ':') return false;
  return (rule == PortRule::optional || length != 0) && valid_port(rest.substr(1), rule);
}

}  // namespace reactor::http
