// SPDX-License-Identifier: MIT
// Place: how far the parsing of one head has come. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace reactor::http {

enum class Phase : std::uint8_t { start, method, target, version, field_start, name, value, end };

struct Place {
  const char* at = nullptr;       // the octet to go on with
  const char* section = nullptr;  // where the request line, later the header section, begins
  std::size_t fields = 0;         // begun
  Phase phase = Phase::start;
};

// The end of what may be looked at: of the input, or of what a limit allows behind `from`.
inline const char* bounded(const char* from, const char* end, std::size_t octets) noexcept {
  return static_cast<std::size_t>(end - from) > octets ? from + octets : end;
}

// Whether `text` stands there, compared as one word.
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
