// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace reactor {

// Slab provides memory for many objects of one type, which never move. A chunk holds 64 objects
// side by side, and an index names an object. There is no header per object, and chunks are kept
// for later objects. The memory that was freed last is used first, because it may still be in the
// cache.
template <class T>
class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  // Frees the memory. The caller must have destroyed all objects before.
  ~Slab() = default;

  // Returns the index of memory for one T, which the caller constructs at memory(index). Throws
  // std::bad_alloc.
  [[nodiscard]] std::uint32_t allocate() {
    if (free_.empty()) grow();
    const std::uint32_t index = free_.back();
    free_.pop_back();
    used_[index / kObjects] |= bit(index);
    return index;
  }

  [[nodiscard]] void* memory(std::uint32_t index) noexcept {
    return (*chunks_[index / kObjects])[index % kObjects].data();
  }

  // Takes the memory back. The caller must have destroyed the object in it.
  void deallocate(std::uint32_t index) noexcept {
    used_[index / kObjects] &= ~bit(index);
    free_.push_back(index);  // never allocates: grow() has reserved the room
  }

  // Calls `bool visit(T&)` for each object in use until it returns false. `visit` may deallocate
  // any object. If `visit` destroys the Slab, it must return false.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::size_t chunk = 0; chunk < chunks_.size(); ++chunk) {
      // `ahead` has a bit for each position after the last visited object. used_ is read again
      // after each visit, because `visit` may have changed it.
      for (std::uint64_t ahead = ~std::uint64_t{0}; (used_[chunk] & ahead) != 0;) {
        const auto place = static_cast<std::size_t>(std::countr_zero(used_[chunk] & ahead));
        ahead &= ~((std::uint64_t{2} << place) - 1);
        if (!visit(*std::launder(reinterpret_cast<T*>((*chunks_[chunk])[place].data())))) return;
      }
    }
  }

 private:
  static constexpr std::uint32_t kObjects = 64;

  struct alignas(T) Place : std::array<std::byte, sizeof(T)> {};
  using Chunk = std::array<Place, kObjects>;

  [[nodiscard]] static std::uint64_t bit(std::uint32_t index) noexcept {
    return std::uint64_t{1} << (index % kObjects);
  }

  void grow() {
    const auto first = static_cast<std::uint32_t>(chunks_.size()) * kObjects;
    free_.reserve(first + kObjects);
    used_.reserve(chunks_.size() + 1);
    chunks_.push_back(std::unique_ptr<Chunk>(new Chunk));
    used_.push_back(0);
    for (std::uint32_t index = first + kObjects; index-- > first;) free_.push_back(index);
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::uint64_t> used_;  // a bit per object, a word per chunk
  std::vector<std::uint32_t> free_;
};

}  // namespace reactor
