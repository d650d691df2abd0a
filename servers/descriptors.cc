// SPDX-License-Identifier: MIT
#include "servers/descriptors.h"

#include <algorithm>
#include <string>

#include "reactor/base/log.h"
#include "reactor/prefork/descriptor_limit.h"
#include "servers/settings/values.h"

namespace servers {
namespace {

using reactor::prefork::raise_descriptor_limit;

constexpr std::uint64_t kFewest = 16;  // connections; a server with fewer is useless
// The connections of a small server under the usual limit of 1,024.
constexpr std::uint64_t kUsual = 960;
constexpr const char* kRemedy = "raise the limit (ulimit -n, in a unit LimitNOFILE=)";

// Called if --max-connections was not given. Keeps the present descriptor limit, unless the
// workers' own descriptors leave less than half of it, or fewer than kFewest, for connections.
// Returns the limit afterwards.
std::uint64_t raise_for_usual(std::uint64_t fixed) {
  const std::uint64_t limit = reactor::prefork::descriptor_limit();
  if (limit >= std::max(2 * fixed, fixed + kFewest)) return limit;
  return raise_descriptor_limit(fixed + kUsual, fixed + kFewest);
}

}  // namespace

void provide_descriptors(const Options& options) {
  const unsigned workers = options.prefork.workers;
  const std::uint64_t fixed =
      reactor::prefork::fixed_descriptors(workers, options.prefork.addresses.size());
  const std::uint64_t connections = options.service.max_connections;
  const std::uint64_t needed = fixed + std::max(connections, kFewest);
  const std::uint64_t limit =
      connections == 0 ? raise_for_usual(fixed) : raise_descriptor_limit(needed, needed);
  if (limit < fixed + kFewest) {
    throw BadValue("--workers", std::to_string(workers),
                   "they need " + std::to_string(fixed + kFewest) + " descriptors and may have " +
                       std::to_string(limit),
                   std::string(kRemedy) + ", or use fewer workers");
  }
  if (limit >= needed) return;
  REACTOR_LOG(warn, "--max-connections '" + std::to_string(connections) + "': each worker needs " +
                        std::to_string(needed) + " descriptors and may have " +
                        std::to_string(limit) + "; " + kRemedy);
}

}  // namespace servers
