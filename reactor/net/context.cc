// SPDX-License-Identifier: MIT
#include "reactor/net/context.h"

namespace reactor {

NetContext& NetContext::of(Loop& loop) {
  if (loop.extension() == nullptr) loop.set_extension(std::make_unique<NetContext>(loop));
  return static_cast<NetContext&>(*loop.extension());
}

}  // namespace reactor
