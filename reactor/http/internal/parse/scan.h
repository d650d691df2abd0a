// SPDX-License-Identifier: MIT
// These functions find the end of a run of bytes of one class. Private to http/.
//
// A `Block` looks at kWidth bytes in one step, and marks the bytes that are outside the *common*
// part of a class. Each byte has kBits bits in the mask. The first byte has the lowest bits. A
// marked byte may still belong to the class (obs-text in a value, '_' in a name). So from the first
// marked byte on, each byte of the run is looked up in the table.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "reactor/http/internal/parse/chars.h"

namespace reactor::http::scan {

// PortableBlock looks at eight bytes in a machine word. The masks are exact, because no sum below
// carries into the next byte.
struct PortableBlock {
  using Mask = std::uint64_t;
  static constexpr std::ptrdiff_t kWidth = 8;
  static constexpr int kBits = 8;

  // Common: 0x20-0x7e.
  static Mask outside_value(const char* at) noexcept {
    return ~within<0x20, 0x7e>(load(at)) & kHigh;
  }

  // Common: kTarget except '!', '$' and '~'. Five bytes from '&' to 'z' are not in kTarget: '`' and
  // '<', '>', '\', '^'. Setting the bits 0x62 turns the last four, and no other byte from '&' to
  // 'z', into '~'.
  static Mask outside_target(const char* at) noexcept {
    const std::uint64_t word = load(at);
    return ~(within<'&', 'z'>(word) & differs(word | every(0x62), '~') & differs(word, '`')) &
           kHigh;
  }

  // Common: letters and '-', of which nearly all field names consist.
  static Mask outside_name(const char* at) noexcept {
    const std::uint64_t word = load(at);
    return ~within<'a', 'z'>(word | every(0x20)) & differs(word, '-') & kHigh;
  }

  // Common: all of kLabel.
  static Mask outside_label(const char* at) noexcept {
    const std::uint64_t word = load(at);
    const std::uint64_t letter = within<'a', 'z'>(word | every(0x20));
    const std::uint64_t other = within<'-', '9'>(word) & differs(word, '/');
    return ~(letter | other) & kHigh;
  }

 private:
  static constexpr std::uint64_t kHigh = 0x8080808080808080U;
  static constexpr std::uint64_t every(unsigned byte) noexcept {
    return 0x0101010101010101U * byte;
  }

  // The first byte becomes the lowest byte of the word on every machine.
  static std::uint64_t load(const char* at) noexcept {
    std::uint64_t word = 0;
    if constexpr (std::endian::native == std::endian::little) {
      std::memcpy(&word, at, sizeof word);
    } else {
      for (int i = 7; i >= 0; --i) word = word << 8U | static_cast<unsigned char>(at[i]);
    }
    return word;
  }

  // Sets the high bit of each byte in `low`..`high`, which are below 0x80. All other bits are 0.
  template <unsigned low, unsigned high>
  static constexpr std::uint64_t within(std::uint64_t word) noexcept {
    const std::uint64_t seven = word & ~kHigh;
    const std::uint64_t at_least = seven + every(0x80 - low);
    const std::uint64_t above = seven + every(0x7f - high);
    return at_least & ~above & ~word & kHigh;
  }

  // Sets the high bit of each byte that is not `byte`, which is below 0x80. The other bits are
  // undefined.
  static constexpr std::uint64_t differs(std::uint64_t word, unsigned byte) noexcept {
    const std::uint64_t x = word ^ every(byte);
    return ((x & ~kHigh) + ~kHigh) | x;
  }
};

// Window is a text that is read block by block. The last block overlaps the one before it, so that
// nothing after the end of the text is read. Only a text that is longer than a block has a window,
// so ask fits() first.
template <class Block>
struct Window {
  const char* last;  // the last position at which a block and one more byte fit

  static bool fits(std::size_t size) noexcept { return size > std::size_t{Block::kWidth}; }
  static Window of(const char* begin, std::size_t size) noexcept {
    return {begin + size - Block::kWidth - 1};
  }

  [[nodiscard]] const char* end() const noexcept { return last + Block::kWidth + 1; }
  // Returns whether the window has `bytes` bytes from `at` on. Uses only `last`, so that end()
  // takes no register.
  [[nodiscard]] bool has(const char* at, std::ptrdiff_t bytes) const noexcept {
    return at - last <= Block::kWidth + 1 - bytes;
  }
};

// Returns how many bytes of a block come before the first marked one. The mask must not be 0.
template <class Block>
inline std::size_t before(typename Block::Mask mask) noexcept {
  return static_cast<unsigned>(std::countr_zero(mask)) / unsigned{Block::kBits};
}

// Returns the first uncommon byte in [from, window.end()), or window.end() if there is none. If
// `from` is not in the window, returns `from`.
template <class Block, typename Block::Mask (*outside)(const char*) noexcept>
inline const char* uncommon(const Window<Block>& window, const char* from) noexcept {
  for (; from <= window.last; from += Block::kWidth) {
    if (const auto mask = outside(from); mask != 0) return from + before<Block>(mask);
  }
  const auto left = window.end() - from;
  if (left <= 0) return from;
  const auto mask =
      outside(window.end() - Block::kWidth) >> ((Block::kWidth - left) * Block::kBits);
  return mask == 0 ? window.end() : from + before<Block>(mask);
}

// The fast path reads up to eight bytes after the end of a run. If a run has no end in the window,
// the fast path reads these bytes instead. They are outside every window and differ from any text.
inline constexpr char kNowhere[16] = {};

// Returns the first uncommon byte in [from, window.end() - 1). Returns kNowhere + 1 if there is
// none, so that callers can read the byte before it too. `from` is behind window.last.
template <class Block, typename Block::Mask (*outside)(const char*) noexcept>
[[gnu::always_inline]] inline const char* tail_stop(const Window<Block>& window,
                                                    const char* from) noexcept {
  const auto skipped = from - window.last;
  if (skipped >= Block::kWidth) return kNowhere + 1;
  const auto mask = outside(window.last) >> (skipped * Block::kBits);
  return mask == 0 ? kNowhere + 1 : from + before<Block>(mask);
}

// Returns the first uncommon byte from `from` on, or a position in kNowhere. Works for runs of any
// length.
template <class Block, typename Block::Mask (*outside)(const char*) noexcept>
[[gnu::always_inline]] inline const char* stop(const Window<Block>& window,
                                               const char* from) noexcept {
  for (; from <= window.last; from += Block::kWidth) {
    if (const auto mask = outside(from); mask != 0) return from + before<Block>(mask);
  }
  return tail_stop<Block, outside>(window, from);
}

// Not inlined, because it would take registers from the usual case, in which the run ends in the
// first block.
template <class Block, typename Block::Mask (*outside)(const char*) noexcept>
[[gnu::noinline]] const char* far_stop(Window<Block> window, const char* from) noexcept {
  return stop<Block, outside>(window, from);
}

// Does what stop() does, for runs that mostly end within a block.
template <class Block, typename Block::Mask (*outside)(const char*) noexcept>
[[gnu::always_inline]] inline const char* near_stop(const Window<Block>& window,
                                                    const char* from) noexcept {
  if (from > window.last) [[unlikely]]
    return far_stop<Block, outside>(window, from);
  const auto mask = outside(from);
  if (mask != 0) [[likely]]
    return from + before<Block>(mask);
  return far_stop<Block, outside>(window, from + Block::kWidth);
}

// Returns the first byte in [from, end) that is not in the class, or end. May read all memory from
// `begin` to `end`. `begin` must not be after `from`.
template <class Block, chars::Class wanted, typename Block::Mask (*outside)(const char*) noexcept>
inline const char* run(const char* begin, const char* from, const char* end) noexcept {
  const auto size = static_cast<std::size_t>(end - begin);
  if (Window<Block>::fits(size)) {
    from = uncommon<Block, outside>(Window<Block>::of(begin, size), from);
  }
  while (from != end && chars::is(wanted, *from)) ++from;
  return from;
}

template <class Block>
const char* value(const char* begin, const char* from, const char* end) noexcept {
  return run<Block, chars::kValue, &Block::outside_value>(begin, from, end);
}

// Returns the end of a run of kTarget and percent-encoded triplets ('%' and two hexadecimal
// digits).
template <class Block>
const char* target(const char* begin, const char* from, const char* end) noexcept {
  for (;;) {
    from = run<Block, chars::kTarget, &Block::outside_target>(begin, from, end);
    if (end - from < 3 || *from != '%' || !chars::all(chars::kHex, {from + 1, 2})) return from;
    from += 3;
  }
}

template <class Block>
const char* token(const char* begin, const char* from, const char* end) noexcept {
  return run<Block, chars::kToken, &Block::outside_label>(begin, from, end);
}

}  // namespace reactor::http::scan
