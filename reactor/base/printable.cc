// SPDX-License-Identifier: MIT
#include "reactor/base/printable.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace reactor {
namespace {

constexpr std::string_view kCut = "...";

unsigned byte_at(std::string_view text, std::size_t index) noexcept {
  return index < text.size() ? static_cast<unsigned char>(text[index]) : 0U;
}

bool within(unsigned byte, unsigned low, unsigned high) noexcept {
  return byte >= low && byte <= high;
}

// Returns whether three bytes are U+2028 or U+2029.
bool is_separator(unsigned first, unsigned second, unsigned third) noexcept {
  return first == 0xe2 && second == 0x80 && within(third, 0xa8, 0xa9);
}

// Returns the size in bytes of the first character of `text`, by the table of RFC 3629 section 4.
// Returns 0 if the text begins with no valid character or with one that has to be escaped (U+0080
// to U+009F are the C1 control characters).
std::size_t character_size(std::string_view text) noexcept {
  const unsigned first = byte_at(text, 0);
  const unsigned second = byte_at(text, 1);
  if (first < 0x80) return within(first, 0x20, 0x7e) ? 1 : 0;
  if (within(first, 0xc2, 0xdf)) return within(second, first == 0xc2 ? 0xa0 : 0x80, 0xbf) ? 2 : 0;
  const unsigned third = byte_at(text, 2);
  if (within(first, 0xe0, 0xef)) {
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : 0xbf;
    const bool whole = within(second, low, high) && within(third, 0x80, 0xbf);
    return whole && !is_separator(first, second, third) ? 3 : 0;
  }
  if (!within(first, 0xf0, 0xf4)) return 0;
  const bool planes = within(second, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
  const bool whole = within(third, 0x80, 0xbf) && within(byte_at(text, 3), 0x80, 0xbf);
  return planes && whole ? 4 : 0;
}

std::size_t printable_prefix(std::string_view text) noexcept {
  std::size_t at = 0;
  for (std::size_t size = 1; size > 0 && at < text.size(); at += size) {
    size = character_size(text.substr(at));
  }
  return at;
}

// Escape is the escaped form of one byte.
class Escape {
 public:
  explicit Escape(char byte) noexcept {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto value = static_cast<unsigned char>(byte);
    if (const char name = name_of(byte); name != 0) {
      text_[1] = name;
      size_ = 2;
    } else {
      text_ = {'\\', 'x', kDigits[value >> 4U], kDigits[value & 15U]};
    }
  }
  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), size_}; }

 private:
  static char name_of(char byte) noexcept {
    if (byte == '\n') return 'n';
    if (byte == '\r') return 'r';
    return byte == '\t' ? 't' : 0;
  }

  std::array<char, 4> text_{'\\'};
  std::size_t size_ = 4;
};

// Calls put(piece) for each piece of the printable form of `text`, until put() returns false.
template <class Put>
void for_each_piece(std::string_view text, Put put) {
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const Escape escape(text.front());
    if (!put(size > 0 ? text.substr(0, size) : escape.text())) return;
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

}  // namespace

bool is_printable(std::string_view text) noexcept { return printable_prefix(text) == text.size(); }

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for_each_piece(text, [&shown](std::string_view piece) {
    shown += piece;
    return true;
  });
  return shown;
}

std::string_view printable(std::span<char> out, std::string_view text) noexcept {
  std::size_t used = 0;
  std::size_t keep = 0;  // bytes to keep if "..." has to follow
  for_each_piece(text, [&](std::string_view piece) {
    const bool fits = used + piece.size() <= out.size();
    if (!fits) {
      used = keep + kCut.copy(out.data() + keep, kCut.size());
      return false;
    }
    used += piece.copy(out.data() + used, piece.size());
    if (used + kCut.size() <= out.size()) keep = used;
    return true;
  });
  return {out.data(), used};
}

}  // namespace reactor
