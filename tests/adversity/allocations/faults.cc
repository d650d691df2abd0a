// SPDX-License-Identifier: MIT
#include "tests/adversity/allocations/faults.h"

#include <cstdio>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace reactor::allocations {
namespace {

// The state of the faults. The program has only one thread.
struct State {
  std::uint64_t count = 0, first = 0;
  std::int64_t live = 0;
  Mode mode = Mode::one;
  bool armed = false, fired = false, counts_new = true, shows = false;
  int pauses = 0;
};
constinit State g_state;

void show_stack() noexcept {
  std::fprintf(stderr, "This allocation fails:\n");
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_print_stack_trace();
#endif
}

void* give(std::size_t size, std::size_t alignment) {
  if (g_state.counts_new && Faults::fails_now()) throw std::bad_alloc();
  // Some C libraries refuse a size that is not a multiple of the alignment.
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  void* const memory = alignment <= alignof(std::max_align_t)
                           ? std::malloc(size == 0 ? 1 : size)
                           : std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) throw std::bad_alloc();
  ++g_state.live;
  return memory;
}

void take_back(void* memory) noexcept {
  if (memory == nullptr) return;
  --g_state.live;
  std::free(memory);
}

}  // namespace

void Faults::begin(std::uint64_t n, Mode mode) noexcept {
  g_state.count = 0;
  g_state.first = n;
  g_state.mode = mode;
  g_state.fired = false;
  g_state.armed = true;
}
void Faults::end() noexcept { g_state.armed = false; }
bool Faults::fired() noexcept { return g_state.fired; }
std::int64_t Faults::live() noexcept { return g_state.live; }
void Faults::show_stacks() noexcept { g_state.shows = true; }
void Faults::count_new(bool on) noexcept { g_state.counts_new = on; }

bool Faults::fails_now() noexcept {
  if (!g_state.armed || g_state.pauses > 0) return false;
  ++g_state.count;
  const bool fails =
      g_state.mode == Mode::one ? g_state.count == g_state.first : g_state.count >= g_state.first;
  g_state.fired |= fails;
  if (fails && g_state.shows) show_stack();
  return fails;
}

Unfailing::Unfailing() noexcept { ++g_state.pauses; }
Unfailing::~Unfailing() { --g_state.pauses; }

}  // namespace reactor::allocations

// The standard defines the other forms in terms of these ([new.delete]).
void* operator new(std::size_t size) {
  return reactor::allocations::give(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return reactor::allocations::give(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return operator new(size, alignment);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (...) {
    return nullptr;
  }
}
void* operator new[](std::size_t size, const std::nothrow_t& nothrow) noexcept {
  return operator new(size, nothrow);
}
void operator delete(void* memory) noexcept { reactor::allocations::take_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { operator delete(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { operator delete(memory); }
void operator delete[](void* memory) noexcept { operator delete(memory); }
void operator delete[](void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { operator delete(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept { operator delete(memory); }
