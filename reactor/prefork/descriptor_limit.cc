// SPDX-License-Identifier: MIT
#include "reactor/prefork/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace reactor::prefork {

std::uint64_t fixed_descriptors(unsigned workers, std::size_t addresses) noexcept {
  constexpr std::uint64_t kMailbox = 2;
  constexpr std::uint64_t kControl = 2;
  constexpr std::uint64_t kOfEachWorker = kMailbox + 2 * kControl + 1;
  constexpr std::uint64_t kOthers = 24;
  if (workers == 0) return addresses + kOthers;
  return workers * (addresses + kOfEachWorker) + kOthers;
}

std::uint64_t descriptor_limit() noexcept {
  rlimit now{};
  return ::getrlimit(RLIMIT_NOFILE, &now) == 0 ? now.rlim_cur : 0;
}

std::uint64_t raise_descriptor_limit(std::uint64_t wanted, std::uint64_t needed) noexcept {
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return 0;
  if (now.rlim_cur >= wanted) return now.rlim_cur;
  rlimit more{std::min<rlim_t>(wanted, now.rlim_max), now.rlim_max};
  if (more.rlim_cur < needed) {
    const rlimit beyond{needed, needed};
    if (::setrlimit(RLIMIT_NOFILE, &beyond) == 0) return needed;
  }
  return ::setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur : now.rlim_cur;
}

std::string explain_limit(std::error_code error, std::uint64_t needed) {
  if (error != std::errc::too_many_files_open) return error.message();
  return error.message() + ": needs " + std::to_string(needed) +
         " descriptors at least and may have " + std::to_string(descriptor_limit()) +
         "; raise the limit (ulimit -n)";
}

}  // namespace reactor::prefork
