// SPDX-License-Identifier: MIT
// This header has the character classes of HTTP as a table. Testing a byte takes one load and one
// mask. Private to http/.
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

constexpr bool among(std::string_view set, unsigned byte) {
  return set.find(static_cast<char>(byte)) != std::string_view::npos;
}

constexpr std::uint8_t classes_of(unsigned byte) {
  const unsigned lower = byte | 0x20U;
  const bool letter = lower >= 'a' && lower <= 'z';
  const bool digit = byte >= '0' && byte <= '9';
  const bool visible = byte >= 0x21 && byte <= 0x7e;
  const bool value = visible || byte >= 0x80 || byte == ' ' || byte == '\t';
  unsigned out = 0;
  if (letter || digit || (visible && among("!#$%&'*+-.^_`|~", byte))) out |= kToken;
  if (visible && !among("\"#%<>\\^`{|}", byte)) out |= kTarget;
  if (value) out |= kValue;
  if (letter || digit || (visible && among("-._~!$&'()*+,;=", byte))) out |= kRegName;
  if (digit || (lower >= 'a' && lower <= 'f')) out |= kHex;
  if (digit) out |= kDigit;
  if (letter || digit || byte == '-' || byte == '.') out |= kLabel;
  if (value && byte != '"' && byte != '\\') out |= kQuoted;
  return static_cast<std::uint8_t>(out);
}

constexpr std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte) table[byte] = classes_of(byte);
  return table;
}

inline constexpr std::array<std::uint8_t, 256> kTable = make_table();

}  // namespace detail

constexpr bool is(Class wanted, char byte) noexcept {
  return (detail::kTable[static_cast<unsigned char>(byte)] & wanted) != 0;
}

// Returns whether every byte is in the class; true for an empty text.
constexpr bool all(Class wanted, std::string_view text) noexcept {
  for (const char byte : text) {
    if (!is(wanted, byte)) return false;
  }
  return true;
}

constexpr char lower(char byte) noexcept {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte | 0x20) : byte;
}

// Compares without regard to the case of ASCII letters.
constexpr bool same(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

constexpr bool blank(char byte) noexcept { return byte == ' ' || byte == '\t'; }

// Returns the text without the blanks (OWS) at both ends.
constexpr std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace reactor::http::chars
