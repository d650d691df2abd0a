// SPDX-License-Identifier: MIT
#include "reactor/net/transport.h"

namespace reactor {

IoResult Transport::open(int) { return IoResult::bytes(0); }

void Transport::release() noexcept {}

std::error_code Transport::error(IoResult failed) const noexcept { return failed.error(); }

}  // namespace reactor
