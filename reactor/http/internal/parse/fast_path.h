// SPDX-License-Identifier: MIT
// This header is the parser's fast path, for lines in the form that nearly all clients send.
// Private to http/.
//
// Each function takes a whole line of common bytes, or does nothing and leaves the line to the
// strict HeadLexer. The HeadLexer accepts each line that these functions accept, with the same
// outcome (a test compares them). The functions report no errors, and read only inside the window.
// The caller has to ask Window::fits() first (scan.h).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "reactor/http/internal/parse/chars.h"
#include "reactor/http/internal/parse/head_rules.h"
#include "reactor/http/internal/parse/parse_cursor.h"
#include "reactor/http/internal/parse/scan.h"
#include "reactor/http/request.h"

namespace reactor::http {

inline constexpr std::ptrdiff_t kBehindTarget = 11;  // " HTTP/1.1" CRLF

// Returns the end of a target that has an uncommon byte (scan.h) at `from`. Returns nullptr unless
// a blank, "HTTP/1." and three more bytes follow the target. Not inlined, because it would take
// registers from the code for common targets.
template <class Block>
[[gnu::noinline]] const char* uncommon_target_end(scan::Window<Block> window, const char* begin,
                                                  const char* from) noexcept {
  if (*from == '\0') return nullptr;  // `from` may be in kNowhere
  const char* const stop = scan::target<Block>(begin, from, window.end());
  if (window.end() - stop < kBehindTarget) return nullptr;
  return holds<std::uint64_t>(stop, " HTTP/1.") ? stop : nullptr;
}

// Takes "GET /path HTTP/1.1" CRLF. Returns the end of the line, or nullptr.
template <class Block>
[[gnu::always_inline]] inline const char* fast_request_line(const scan::Window<Block>& window,
                                                            const char* begin,
                                                            Request& request) noexcept {
  const char* const from = begin + 4;
  if (!holds<std::uint32_t>(begin, "GET ") || *from != '/') return nullptr;
  const char* stop = scan::near_stop<Block, &Block::outside_target>(window, from);
  if (window.end() - stop < kBehindTarget) return nullptr;
  if (!holds<std::uint64_t>(stop, " HTTP/1.")) {
    stop = uncommon_target_end(window, begin, stop);
    if (stop == nullptr) return nullptr;
  }
  if (!holds<std::uint32_t>(stop + 7, ".1\r\n")) return nullptr;
  request.method_token = {begin, 3};
  request.target = {from, stop};
  request.method = Method::get;
  request.minor_version = 1;
  return stop + kBehindTarget;
}

// Takes "Host: name" or "Host: name:port" CRLF, if the name has only letters, digits, '-' and '.',
// and the port has at most four digits. One scan both finds the end and checks the syntax. Returns
// the end of the line, or nullptr.
template <class Block>
[[gnu::always_inline]] inline const char* fast_host(const scan::Window<Block>& window,
                                                    const char* at, Field& field) noexcept {
  if (at > window.last || !is_any_case({at, 4}, "host")) return nullptr;
  if (!holds<std::uint16_t>(at + 4, ": ")) return nullptr;
  const char* const from = at + 6;
  const char* stop = scan::near_stop<Block, &Block::outside_label>(window, from);
  if (*stop == ':' && window.end() - stop >= 7) {
    const char* const port = stop + 1;
    do ++stop;
    while (chars::is(chars::kDigit, *stop) && stop - port < 4);
  }
  if (!holds<std::uint16_t>(stop, "\r\n")) return nullptr;
  field.name = {at, 4};
  field.value = {from, stop};
  return stop + 2;
}

// TextWord has eight bytes to find in upper or lower case, as one word. `any_case` has bit 0x20 set
// only for the letters. The input matches if and only if setting these bits in it gives `lower`.
struct TextWord {
  std::uint64_t lower;
  std::uint64_t any_case;

  consteval explicit TextWord(std::string_view eight) : lower(0), any_case(0) {
    std::array<char, 8> letters{};
    std::array<char, 8> bits{};
    for (std::size_t i = 0; i < letters.size(); ++i) {
      letters[i] = eight[i];
      bits[i] = eight[i] >= 'a' && eight[i] <= 'z' ? 0x20 : 0;
    }
    lower = std::bit_cast<std::uint64_t>(letters);
    any_case = std::bit_cast<std::uint64_t>(bits);
  }

  [[nodiscard]] bool is_at(const char* at) const noexcept {
    std::uint64_t found = 0;
    std::memcpy(&found, at, sizeof found);
    return (found | any_case) == lower;
  }
};

// Takes "Connection: keep-alive" CRLF, in any case. Returns the end of the line, or nullptr.
template <class Block>
[[gnu::always_inline]] inline const char* fast_keep_alive(const scan::Window<Block>& window,
                                                          const char* at, Field& field) noexcept {
  constexpr TextWord kFirst("connecti");
  constexpr TextWord kSecond("on: keep");
  constexpr TextWord kThird("-alive\r\n");
  if (at > window.last || !is_any_case({at, 4}, "conn")) return nullptr;
  if (window.end() - at < 24 || !kFirst.is_at(at)) return nullptr;
  if (!kSecond.is_at(at + 8) || !kThird.is_at(at + 16)) return nullptr;
  field.name = {at, 10};
  field.value = {at + 12, 10};
  return at + 24;
}

// Takes "Name: value" CRLF with exactly one blank. Returns the end of the line, or nullptr.
template <class Block>
[[gnu::always_inline]] inline const char* fast_field(const scan::Window<Block>& window,
                                                     const char* at, Field& field) noexcept {
  const char* const colon = scan::near_stop<Block, &Block::outside_name>(window, at);
  if (!holds<std::uint16_t>(colon, ": ") || colon == at) return nullptr;
  const char* const from = colon + 2;
  const char* const stop = scan::stop<Block, &Block::outside_value>(window, from);
  if (!holds<std::uint16_t>(stop, "\r\n")) return nullptr;
  if (*from == ' ' || stop[-1] == ' ') return nullptr;
  field.name = {at, colon};
  field.value = {from, stop};
  return stop + 2;
}

template <class Block>
inline bool at_empty_line(const scan::Window<Block>& window, const char* at) noexcept {
  return window.end() - at >= 2 && holds<std::uint16_t>(at, "\r\n");
}

// Takes field lines until one is empty or not common, or until there is no room for more fields.
// Tries Host first, because it nearly always comes first. Returns where it stopped. `field` then
// points behind the last field taken.
template <class Block>
[[gnu::always_inline]] inline const char* fast_fields(const scan::Window<Block>& window,
                                                      const char* at, Field*& field,
                                                      const Field* full, HeadRules& rules,
                                                      Request& request) noexcept {
  if (field < full) {
    if (const char* const next = fast_host(window, at, *field); next != nullptr) {
      rules.note_plain_host(field->value, request);
      at = next;
      ++field;
    }
  }
  for (; field < full; ++field) {
    if (at > window.last && at_empty_line(window, at)) break;
    Field found;
    const char* next = fast_keep_alive(window, at, found);
    if (next != nullptr) {
      rules.note_keep_alive();
    } else {
      next = fast_field(window, at, found);
      if (next == nullptr) break;
      rules.note(found.name, found.value, request);
    }
    *field = found;
    at = next;
  }
  return at;
}

}  // namespace reactor::http
