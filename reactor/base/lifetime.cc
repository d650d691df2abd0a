// SPDX-License-Identifier: MIT
#include "reactor/base/lifetime.h"

namespace reactor {

// This is not inline because some compilers warn if they see a stack address stored in a heap
// object.
Lifetime::Watch::Watch(Lifetime& lifetime) noexcept
    : lifetime_(&lifetime), older_(std::exchange(lifetime.newest_, this)) {}

}  // namespace reactor
