// SPDX-License-Identifier: MIT
// NativeBlock is the widest vector block that every machine of the build's target has. This is the
// only file with intrinsics. Private to http/.
#pragma once

#include "reactor/http/internal/parse/scan.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace reactor::http::scan {

#if defined(__SSE2__)

// Sse2Block tests a range without a comparison. Subtracting `low` makes the range begin at 0. A
// saturating addition then sets the sign bit of each byte beyond the range. The sign bits are the
// mask.
struct Sse2Block {
  using Mask = std::uint32_t;
  static constexpr std::ptrdiff_t kWidth = 16;
  static constexpr int kBits = 1;

  static Mask outside_value(const char* at) noexcept {
    return signs(outside<0x20, 0x7e>(load(at)));
  }

  static Mask outside_target(const char* at) noexcept {
    const __m128i bytes = load(at);
    const __m128i between = equal(_mm_or_si128(bytes, every(0x62)), '~');
    const __m128i others = _mm_or_si128(between, equal(bytes, '`'));
    return signs(_mm_or_si128(outside<'&', 'z'>(bytes), others));
  }

  static Mask outside_name(const char* at) noexcept {
    const __m128i bytes = load(at);
    const __m128i others = outside<'a', 'z'>(_mm_or_si128(bytes, every(0x20)));
    return signs(_mm_andnot_si128(equal(bytes, '-'), others));
  }

  static Mask outside_label(const char* at) noexcept {
    const __m128i bytes = load(at);
    const __m128i letters = outside<'a', 'z'>(_mm_or_si128(bytes, every(0x20)));
    const __m128i others = _mm_or_si128(outside<'-', '9'>(bytes), equal(bytes, '/'));
    return signs(_mm_and_si128(letters, others));
  }

 private:
  static __m128i load(const char* at) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  }
  static __m128i every(char byte) noexcept { return _mm_set1_epi8(byte); }
  static __m128i equal(__m128i bytes, char byte) noexcept {
    return _mm_cmpeq_epi8(bytes, every(byte));
  }
  template <char low, char high>
  static __m128i outside(__m128i bytes) noexcept {
    return _mm_adds_epu8(_mm_sub_epi8(bytes, every(low)), every(0x7f - (high - low)));
  }
  static Mask signs(__m128i bytes) noexcept { return static_cast<Mask>(_mm_movemask_epi8(bytes)); }
};

#if defined(__AVX2__)

struct Avx2Block {
  using Mask = std::uint32_t;
  static constexpr std::ptrdiff_t kWidth = 32;
  static constexpr int kBits = 1;

  static Mask outside_value(const char* at) noexcept {
    return signs(outside<0x20, 0x7e>(load(at)));
  }

  static Mask outside_target(const char* at) noexcept {
    const __m256i bytes = load(at);
    const __m256i between = equal(_mm256_or_si256(bytes, every(0x62)), '~');
    const __m256i others = _mm256_or_si256(between, equal(bytes, '`'));
    return signs(_mm256_or_si256(outside<'&', 'z'>(bytes), others));
  }

  static Mask outside_name(const char* at) noexcept {
    const __m256i bytes = load(at);
    const __m256i others = outside<'a', 'z'>(_mm256_or_si256(bytes, every(0x20)));
    return signs(_mm256_andnot_si256(equal(bytes, '-'), others));
  }

  static Mask outside_label(const char* at) noexcept {
    const __m256i bytes = load(at);
    const __m256i letters = outside<'a', 'z'>(_mm256_or_si256(bytes, every(0x20)));
    const __m256i others = _mm256_or_si256(outside<'-', '9'>(bytes), equal(bytes, '/'));
    return signs(_mm256_and_si256(letters, others));
  }

 private:
  static __m256i load(const char* at) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  static __m256i every(char byte) noexcept { return _mm256_set1_epi8(byte); }
  static __m256i equal(__m256i bytes, char byte) noexcept {
    return _mm256_cmpeq_epi8(bytes, every(byte));
  }
  template <char low, char high>
  static __m256i outside(__m256i bytes) noexcept {
    return _mm256_adds_epu8(_mm256_sub_epi8(bytes, every(low)), every(0x7f - (high - low)));
  }
  static Mask signs(__m256i bytes) noexcept {
    return static_cast<Mask>(_mm256_movemask_epi8(bytes));
  }
};

using NativeBlock = Avx2Block;

#else

using NativeBlock = Sse2Block;

#endif

#elif defined(__ARM_NEON) && defined(__aarch64__)

// NEON has no movemask. Narrowing each 16-bit lane by 4 bits leaves four bits for each byte.
struct NeonBlock {
  using Mask = std::uint64_t;
  static constexpr std::ptrdiff_t kWidth = 16;
  static constexpr int kBits = 4;

  static Mask outside_value(const char* at) noexcept {
    return marked(within<0x20, 0x7e>(load(at)));
  }

  static Mask outside_target(const char* at) noexcept {
    const uint8x16_t bytes = load(at);
    const uint8x16_t between = vceqq_u8(vorrq_u8(bytes, vdupq_n_u8(0x62)), vdupq_n_u8('~'));
    const uint8x16_t others = vorrq_u8(between, vceqq_u8(bytes, vdupq_n_u8('`')));
    return marked(vbicq_u8(within<'&', 'z'>(bytes), others));
  }

  static Mask outside_name(const char* at) noexcept {
    const uint8x16_t bytes = load(at);
    const uint8x16_t letter = within<'a', 'z'>(vorrq_u8(bytes, vdupq_n_u8(0x20)));
    return marked(vorrq_u8(letter, vceqq_u8(bytes, vdupq_n_u8('-'))));
  }

  static Mask outside_label(const char* at) noexcept {
    const uint8x16_t bytes = load(at);
    const uint8x16_t letter = within<'a', 'z'>(vorrq_u8(bytes, vdupq_n_u8(0x20)));
    const uint8x16_t other = within<'-', '9'>(bytes);
    return marked(vbicq_u8(vorrq_u8(letter, other), vceqq_u8(bytes, vdupq_n_u8('/'))));
  }

 private:
  static uint8x16_t load(const char* at) noexcept {
    return vld1q_u8(reinterpret_cast<const std::uint8_t*>(at));
  }
  template <std::uint8_t low, std::uint8_t high>
  static uint8x16_t within(uint8x16_t bytes) noexcept {
    return vcleq_u8(vsubq_u8(bytes, vdupq_n_u8(low)), vdupq_n_u8(high - low));
  }
  static Mask marked(uint8x16_t common) noexcept {
    const uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(common), 4);
    return ~vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
  }
};

using NativeBlock = NeonBlock;

#else

using NativeBlock = PortableBlock;

#endif

}  // namespace reactor::http::scan
