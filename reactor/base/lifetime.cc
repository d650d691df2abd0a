// SPDX-License-Identifier: MIT
#include "reactor/base/lifetime.h"

namespace reactor {

// This is not inline: a Watch is on the stack, a Lifetime may be on the heap, and some compilers
// warn if they see the heap object store a stack address.
Lifetime::Watch::Watch(Lifetime& lifetime) noexcept
    : lifetime_(&lifetime), older_(std::exchange(lifetime.newest_, this)) {}

}  // namespace reactor
