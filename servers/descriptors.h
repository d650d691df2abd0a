// SPDX-License-Identifier: MIT
#pragma once

#include "servers/options.h"

namespace servers {

// Raises this process's limit of descriptors to what `options` need, workers inherit it. What
// --max-connections wants beyond the limit is logged as a warning. Throws BadValue for --workers if
// not even the workers' own descriptors fit.
void provide_descriptors(const Options& options);

}  // namespace servers
