// SPDX-License-Identifier: MIT
// Shared by the fuzz targets. Inputs are plain text, so that each file of a corpus can be read. A
// target draws cuts and limits from the text itself, so that a file always means the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "reactor/http/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace reactor::fuzz {

// Ends the program if a property does not hold. The fuzzer then keeps the input.
inline void demand(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", property);
  std::abort();
}

// Pseudo-random numbers that depend on the text alone (splitmix64 over FNV-1a).
class Draw {
 public:
  explicit Draw(std::string_view text) {
    for (const char byte : text) state_ = (state_ ^ static_cast<unsigned char>(byte)) * kPrime;
  }
  std::size_t below(std::size_t bound) {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t value = (state_ ^ state_ >> 30U) * 0xbf58476d1ce4e5b9U;
    value = (value ^ value >> 27U) * 0x94d049bb133111ebU;
    return static_cast<std::size_t>((value ^ value >> 31U) % bound);
  }
  // Returns up to `most` ascending positions in a text of `size` bytes.
  std::vector<std::size_t> cuts(std::size_t size, std::size_t most) {
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; cuts.size() < most;) {
      at += 1 + below(size / 2 + 2);
      if (at >= size) break;
      cuts.push_back(at);
    }
    return cuts;
  }

 private:
  static constexpr std::uint64_t kPrime = 0x100000001b3U;
  std::uint64_t state_ = 0xcbf29ce484222325U;
};

// Returns the default limits, or low ones that even short texts reach.
inline http::Limits draw_limits(Draw& draw) {
  http::Limits limits;
  if (draw.below(2) == 0) return limits;
  limits.request_line = 4 + draw.below(60);
  limits.header_bytes = 2 + draw.below(120);
  limits.fields = draw.below(6);
  limits.body = draw.below(40);
  limits.chunk_extensions = static_cast<std::uint32_t>(draw.below(20));
  limits.trailer_bytes = static_cast<std::uint32_t>(2 + draw.below(40));
  return limits;
}

}  // namespace reactor::fuzz
