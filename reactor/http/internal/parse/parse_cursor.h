// SPDX-License-Identifier: MIT
// ParseCursor tells how far one head has been parsed in this call. Private to http/.
//
// It has pointers into the input where ParseProgress has offsets, so it is valid only as long as
// the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace reactor::http {

enum class Phase : std::uint8_t { start, method, target, version, field_start, name, value, end };

struct ParseCursor {
  const char* at = nullptr;  // the next byte to read
  // The start of the request line, later the start of the header section.
  const char* section = nullptr;
  std::size_t fields = 0;  // field lines that have begun
  Phase phase = Phase::start;
};

// Returns the end of the bytes that may be read: `end`, or `from + bytes` if that comes first.
inline const char* bounded(const char* from, const char* end, std::size_t bytes) noexcept {
  return static_cast<std::size_t>(end - from) > bytes ? from + bytes : end;
}

// Returns whether the bytes at `at` are `text`. Compares them as one word.
template <class Word, std::size_t with_nul>
inline bool holds(const char* at, const char (&text)[with_nul]) noexcept {
  static_assert(sizeof(Word) == with_nul - 1);
  Word found = 0;
  Word wanted = 0;
  std::memcpy(&found, at, sizeof found);
  std::memcpy(&wanted, text, sizeof wanted);
  return found == wanted;
}

}  // namespace reactor::http
