// SPDX-License-Identifier: MIT
// poison() marks memory that was lent for a while and must not be touched any more.
// AddressSanitizer builds report any later access. In other builds these functions cost no
// instruction.
//
// The sanitizer tracks memory in groups of 8 bytes. Up to 7 bytes at the end of a region stay
// accessible if the rest of their group is still in use.
#pragma once

#include <cstddef>
#include <span>

#if defined(__SANITIZE_ADDRESS__)
#define REACTOR_POISONS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REACTOR_POISONS
#endif
#endif

#ifdef REACTOR_POISONS
#include <sanitizer/asan_interface.h>
#endif

namespace reactor {

#ifdef REACTOR_POISONS
#undef REACTOR_POISONS
inline constexpr bool kPoisons = true;

// Makes every access to `bytes` an error, until unpoison() or until the memory is freed.
inline void poison(std::span<const std::byte> bytes) noexcept {
  __asan_poison_memory_region(bytes.data(), bytes.size());
}
inline void unpoison(std::span<const std::byte> bytes) noexcept {
  __asan_unpoison_memory_region(bytes.data(), bytes.size());
}
// Returns whether the sanitizer would report an access to `byte`. Always false without the
// sanitizer.
[[nodiscard]] inline bool is_poisoned(const void* byte) noexcept {
  return __asan_address_is_poisoned(byte) != 0;
}
#else
inline constexpr bool kPoisons = false;
inline void poison(std::span<const std::byte>) noexcept {}
inline void unpoison(std::span<const std::byte>) noexcept {}
[[nodiscard]] inline bool is_poisoned(const void*) noexcept { return false; }
#endif

// PoisonAtExit poisons `bytes` at the end of a scope, even if an exception leaves the scope.
class PoisonAtExit {
 public:
  explicit PoisonAtExit(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  PoisonAtExit(const PoisonAtExit&) = delete;
  PoisonAtExit& operator=(const PoisonAtExit&) = delete;
  ~PoisonAtExit() { poison(bytes_); }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace reactor
