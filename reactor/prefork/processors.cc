// SPDX-License-Identifier: MIT
#include "reactor/prefork/processors.h"

#include <cerrno>

#include "reactor/base/error.h"
#if defined(__linux__)
#include <sched.h>
#endif

namespace reactor::prefork {

#if defined(__linux__)

std::vector<int> allowed_processors() {
  std::vector<int> processors;
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(static_cast<std::size_t>(i), &set)) processors.push_back(i);
  }
  return processors;
}

std::error_code pin_to(int processor) noexcept {
  if (processor < 0 || processor >= CPU_SETSIZE) return system_error(EINVAL);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  return ::sched_setaffinity(0, sizeof(set), &set) == 0 ? std::error_code{} : last_system_error();
}

#else

std::vector<int> allowed_processors() { return {}; }
std::error_code pin_to(int) noexcept { return Errc::not_supported; }

#endif

std::string processors_to_string(std::span<const int> processors) {
  std::string text;
  for (std::size_t i = 0; i < processors.size();) {
    std::size_t last = i;
    while (last + 1 < processors.size() && processors[last + 1] == processors[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(processors[i]);
    if (last > i) text += "-" + std::to_string(processors[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace reactor::prefork
