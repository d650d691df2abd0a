// SPDX-License-Identifier: MIT
#include "reactor/base/lifetime.h"

namespace reactor {

// This constructor is not inline, because some compilers warn if they see that an object on the
// heap stores an address on the stack. A Lifetime may be on the heap, and a Watch is on the stack.
Lifetime::Watch::Watch(Lifetime& lifetime) noexcept
    : lifetime_(&lifetime), older_(std::exchange(lifetime.newest_, this)) {}

}  // namespace reactor
