// SPDX-License-Identifier: MIT
// The operator new of this program. It counts allocations, and fails the chosen ones.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reactor::allocations {

// After begin(), either only the n-th allocation fails, or the n-th and all that follow.
enum class Mode : std::uint8_t { one, all_from };

class Faults {
 public:
  static void begin(std::uint64_t n, Mode mode) noexcept;
  // Ends the faults that begin() started.
  static void end() noexcept;
  // Whether any allocation has failed since begin().
  [[nodiscard]] static bool fired() noexcept;
  // The number of blocks that operator new has returned and nobody has freed yet.
  [[nodiscard]] static std::int64_t live() noexcept;
  // Counts one allocation of another allocator, such as OpenSSL's, and tells whether it has to
  // fail.
  [[nodiscard]] static bool fails_now() noexcept;
  // Prints the stack of each allocation that fails, for a replay.
  static void show_stacks() noexcept;
  // Whether operator new counts. The sweep of foreign allocators counts theirs instead.
  static void count_new(bool on) noexcept;
};

// While this lives, allocations are not counted and do not fail. It is for the test's own memory.
class Unfailing {
 public:
  Unfailing() noexcept;
  ~Unfailing();
  Unfailing(const Unfailing&) = delete;
  Unfailing& operator=(const Unfailing&) = delete;
};

}  // namespace reactor::allocations
