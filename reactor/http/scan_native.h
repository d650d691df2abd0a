// SPDX-License-Identifier: MIT
// The widest vector block that the build's target surely has. Internal; the one place with
// intrinsics.
#pragma once

#include "reactor/http/scan.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace reactor::http::scan {

#if defined(__SSE2__)

// All comparisons are signed: 0x80-0xff are below everything, and "+ 1" puts 0x7f (DEL) there too.
struct Sse2Block {
  using Mask = std::uint32_t;
  static constexpr std::ptrdiff_t kWidth = 16;
  static constexpr int kBits = 1;

  static Mask outside_value(const char* at) noexcept {
    return marked(_mm_cmpgt_epi8(_mm_add_epi8(load(at), every(1)), every(0x20)));
  }

  static Mask outside_target(const char* at) noexcept {
    const __m128i octets = load(at);
    const __m128i visible = _mm_cmpgt_epi8(_mm_add_epi8(octets, every(1)), every(0x21));
    return marked(_mm_andnot_si128(_mm_cmpeq_epi8(octets, every('#')), visible));
  }

  static Mask outside_label(const char* at) noexcept {
    const __m128i octets = load(at);
    const __m128i letter = within<'a', 'z'>(_mm_or_si128(octets, every(0x20)));
    const __m128i other = within<'-', '9'>(octets);
    const __m128i slash = _mm_cmpeq_epi8(octets, every('/'));
    return marked(_mm_andnot_si128(slash, _mm_or_si128(letter, other)));
  }

 private:
  static __m128i load(const char* at) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  }
  static __m128i every(char octet) noexcept { return _mm_set1_epi8(octet); }
  template <char low, char high>
  static __m128i within(__m128i octets) noexcept {
    return _mm_cmpgt_epi8(_mm_add_epi8(octets, every(static_cast<char>(0x7f - high))),
                          every(static_cast<char>(0x7f - high + low - 1)));
  }
  static Mask marked(__m128i common) noexcept {
    return static_cast<Mask>(_mm_movemask_epi8(common)) ^ 0xffffU;
  }
};

#if defined(__AVX2__)

struct Avx2Block {
  using Mask = std::uint32_t;
  static constexpr std::ptrdiff_t kWidth = 32;
  static constexpr int kBits = 1;

  static Mask outside_value(const char* at) noexcept {
    return marked(_mm256_cmpgt_epi8(_mm256_add_epi8(load(at), every(1)), every(0x20)));
  }

  static Mask outside_target(const char* at) noexcept {
    const __m256i octets = load(at);
    const __m256i visible = _mm256_cmpgt_epi8(_mm256_add_epi8(octets, every(1)), every(0x21));
    return marked(_mm256_andnot_si256(_mm256_cmpeq_epi8(octets, every('#')), visible));
  }

  static Mask outside_label(const char* at) noexcept {
    const __m256i octets = load(at);
    const __m256i letter = within<'a', 'z'>(_mm256_or_si256(octets, every(0x20)));
    const __m256i other = within<'-', '9'>(octets);
    const __m256i slash = _mm256_cmpeq_epi8(octets, every('/'));
    return marked(_mm256_andnot_si256(slash, _mm256_or_si256(letter, other)));
  }

 private:
  static __m256i load(const char* at) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  static __m256i every(char octet) noexcept { return _mm256_set1_epi8(octet); }
  template <char low, char high>
  static __m256i within(__m256i octets) noexcept {
    return _mm256_cmpgt_epi8(_mm256_add_epi8(octets, every(static_cast<char>(0x7f - high))),
                             every(static_cast<char>(0x7f - high + low - 1)));
  }
  static Mask marked(__m256i common) noexcept {
    return ~static_cast<Mask>(_mm256_movemask_epi8(common));
  }
};

using NativeBlock = Avx2Block;

#else

using NativeBlock = Sse2Block;

#endif

#elif defined(__ARM_NEON) && defined(__aarch64__)

// NEON has no movemask: narrowing each 16-bit lane by 4 leaves four bits for each octet.
struct NeonBlock {
  using Mask = std::uint64_t;
  static constexpr std::ptrdiff_t kWidth = 16;
  static constexpr int kBits = 4;

  static Mask outside_value(const char* at) noexcept {
    return marked(within<0x20, 0x7e>(load(at)));
  }

  static Mask outside_target(const char* at) noexcept {
    const uint8x16_t octets = load(at);
    return marked(vbicq_u8(within<0x21, 0x7e>(octets), vceqq_u8(octets, vdupq_n_u8('#'))));
  }

  static Mask outside_label(const char* at) noexcept {
    const uint8x16_t octets = load(at);
    const uint8x16_t letter = within<'a', 'z'>(vorrq_u8(octets, vdupq_n_u8(0x20)));
    const uint8x16_t other = within<'-', '9'>(octets);
    return marked(vbicq_u8(vorrq_u8(letter, other), vceqq_u8(octets, vdupq_n_u8('/'))));
  }

 private:
  static uint8x16_t load(const char* at) noexcept {
    return vld1q_u8(reinterpret_cast<const std::uint8_t*>(at));
  }
  template <std::uint8_t low, std::uint8_t high>
  static uint8x16_t within(uint8x16_t octets) noexcept {
    return vcleq_u8(vsubq_u8(octets, vdupq_n_u8(low)), vdupq_n_u8(high - low));
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
