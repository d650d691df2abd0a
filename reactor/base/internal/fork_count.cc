// SPDX-License-Identifier: MIT
#include "reactor/base/internal/fork_count.h"

#include <pthread.h>

#include <atomic>

namespace reactor {
namespace {

std::atomic<std::uint32_t> g_generation{1};
std::atomic<std::uint32_t> g_forks{0};

void before_fork() { g_forks.fetch_add(1, std::memory_order_relaxed); }
void in_child() { g_generation.fetch_add(1, std::memory_order_relaxed); }

// The handlers are registered when the library is loaded, so that no caller can forget it.
const int g_registered = ::pthread_atfork(&before_fork, nullptr, &in_child);

}  // namespace

std::uint32_t process_generation() noexcept { return g_generation.load(std::memory_order_relaxed); }

std::uint32_t fork_count() noexcept {
  static_cast<void>(g_registered);
  return g_forks.load(std::memory_order_relaxed);
}

}  // namespace reactor
