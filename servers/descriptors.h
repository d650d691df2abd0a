// SPDX-License-Identifier: MIT
#pragma once

#include "servers/settings/options.h"

namespace servers {

// Raises this process's limit of descriptors to the number that `options` need; the workers inherit
// the limit. Logs a warning if --max-connections needs more than the hard limit allows. Throws
// BadValue for --workers if the limit leaves too few descriptors for even a handful of connections.
void provide_descriptors(const Options& options);

}  // namespace servers
