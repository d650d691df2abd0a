// SPDX-License-Identifier: MIT
#include "reactor/base/lifetime.h"

namespace reactor {

// This is not inline because a compiler warns if it sees a stack address stored in a heap object.
Lifetime::Watch::Watch(Lifetime& lifetime) noexcept
    : lifetime_(&lifetime), older_(std::exchange(lifetime.newest_, this)) {}

}  // namespace reactor
