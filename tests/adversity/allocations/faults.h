// SPDX-License-Identifier: MIT
// The replaced operator new of this program: it counts, and fails where it is told to.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reactor::allocations {

// The n-th allocation from begin() on fails, or each one from the n-th on.
enum class Mode : std::uint8_t { one, all_from };

class Faults {
 public:
  static void begin(std::uint64_t n, Mode mode) noexcept;
  // Nothing fails from here on.
  static void end() noexcept;
  // Whether any allocation has failed since begin().
  [[nodiscard]] static bool fired() noexcept;
  // Blocks that operator new gave and nobody has given back.
  [[nodiscard]] static std::int64_t live() noexcept;
  // For every other allocator that is to fail in the same way, such as OpenSSL's.
  [[nodiscard]] static bool fails_now() noexcept;
  // Shows the stack of each allocation that fails, for a replay.
  static void show_stacks() noexcept;
  // Whether operator new counts; the other sweep counts OpenSSL's allocations in its place.
  static void count_new(bool on) noexcept;
};

// What the test itself allocates is not counted, and does not fail.
class Unfailing {
 public:
  Unfailing() noexcept;
  ~Unfailing();
  Unfailing(const Unfailing&) = delete;
  Unfailing& operator=(const Unfailing&) = delete;
};

}  // namespace reactor::allocations
