// SPDX-License-Identifier: MIT
#include "reactor/base/lifetime.h"

namespace reactor {

// Not inline: compilers that see a pointer to the stack in an object of the heap warn of it.
Lifetime::Watch::Watch(Lifetime& lifetime) noexcept
    : lifetime_(&lifetime), older_(std::exchange(lifetime.newest_, this)) {}

}  // namespace reactor
