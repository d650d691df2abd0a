// SPDX-License-Identifier: MIT
// The character classes of HTTP as a table: testing a byte takes one load and one mask. Internal.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace reactor::http::chars {

enum Class : std::uint8_t {
  kToken = 1,    // tchar, RFC 9110 section 5.6.2
  kTarget = 2,   // unreserved or reserved, RFC 3986 section 2, except '#'; not '%'
  kValue = 4,    // field-vchar, SP, HTAB: RFC 9110 section 5.5
  kRegName = 8,  // unreserved or sub-delims, RFC 3986 section 3.2.2; not '%'
  kHex = 16,
  kDigit = 32,
  kLabel = 64,    // letters, digits, '-' and '.': all that most hosts and field names have
  kQuoted = 128,  // qdtext, RFC 9110 section 5.6.4
};

namespace detail {

constexpr bool among(std::string_view set, unsigned octet) {
  return set.find(static_cast<char>(octet)) != std::string_view::npos;
}

constexpr std::uint8_t classes_of(unsigned octet) {
  const unsigned lower = octet | 0x20U;
  const bool letter = lower >= 'a' && lower <= 'z';
  const bool digit = octet >= '0' && octet <= '9';
  const bool visible = octet >= 0x21 && octet <= 0x7e;
  const bool value = visible || octet >= 0x80 || octet == ' ' || octet == '\t';
  unsigned out = 0;
  if (letter || digit || (visible && among("!#$%&'*+-.^_`|~", octet))) out |= kToken;
  if (visible && !among("\"#%<>\\^`{|}", octet)) out |= kTarget;
  if (value) out |= kValue;
  if (letter || digit || (visible && among("-._~!$&'()*+,;=", octet))) out |= kRegName;
  if (digit || (lower >= 'a' && lower <= 'f')) out |= kHex;
  if (digit) out |= kDigit;
  if (letter || digit || octet == '-' || octet == '.') out |= kLabel;
  if (value && octet != '"' && octet != '\\') out |= kQuoted;
  return static_cast<std::uint8_t>(out);
}

constexpr std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned octet = 0; octet < 256; ++octet) table[octet] = classes_of(octet);
  return table;
}

inline constexpr std::array<std::uint8_t, 256> kTable = make_table();

}  // namespace detail

constexpr bool is(Class wanted, char octet) noexcept {
  return (detail::kTable[static_cast<unsigned char>(octet)] & wanted) != 0;
}

// Returns whether every byte is in the class; true for an empty text.
constexpr bool all(Class wanted, std::string_view text) noexcept {
  for (const char octet : text) {
    if (!is(wanted, octet)) return false;
  }
  return true;
}

constexpr char lower(char octet) noexcept {
  return octet >= 'A' && octet <= 'Z' ? static_cast<char>(octet | 0x20) : octet;
}

// Compares without regard to the case of ASCII letters.
constexpr bool same(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

constexpr bool blank(char octet) noexcept { return octet == ' ' || octet == '\t'; }

// Returns the text without the blanks (OWS) at both ends.
constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace reactor::http::chars
