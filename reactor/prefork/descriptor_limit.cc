// SPDX-License-Identifier: MIT
#include "reactor/prefork/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace reactor::prefork {

std::uint64_t raise_descriptor_limit(std::uint64_t wanted) noexcept {
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return 0;
  if (now.rlim_cur >= wanted) return now.rlim_cur;
  rlimit more{wanted, std::max<rlim_t>(now.rlim_max, wanted)};
  if (::setrlimit(RLIMIT_NOFILE, &more) == 0) return wanted;
  more = {std::min<rlim_t>(now.rlim_max, wanted), now.rlim_max};
  return ::setrlimit(RLIMIT_NOFILE, &more) == 0 ? more.rlim_cur : now.rlim_cur;
}

}  // namespace reactor::prefork
