// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace reactor::prefork {

// Raises the number of descriptors that this process and those it forks may open to `wanted`, or as
// far as it may: to the hard limit, beyond it where the process has the right (setrlimit(2)). Never
// lowers it. What it is afterwards.
std::uint64_t raise_descriptor_limit(std::uint64_t wanted) noexcept;

}  // namespace reactor::prefork
