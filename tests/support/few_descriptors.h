// SPDX-License-Identifier: MIT
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "reactor/base/unique_fd.h"

namespace reactor {

// Leaves room for `room` more descriptors. The destructor restores the earlier limit.
class FewDescriptors {
 public:
  explicit FewDescriptors(std::size_t room) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    // The limit applies to descriptor numbers, and the kernel hands out the lowest free number.
    std::vector<UniqueFd> probes;
    for (std::size_t i = 0; i < room; ++i) probes.emplace_back(::dup(STDIN_FILENO));
    int highest = 0;
    for (const UniqueFd& probe : probes) highest = std::max(highest, probe.get());
    rlimit few = before_;
    few.rlim_cur = static_cast<rlim_t>(highest) + 1;
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace reactor
