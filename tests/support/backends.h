// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <ostream>

#include "reactor/poller/readiness.h"
#include "tests/support/fd_guard.h"

namespace reactor {

// GoogleTest finds these functions by name lookup, and calls them to print test parameters and
// other values.
inline void PrintTo(Backend backend, std::ostream* out) { *out << to_string(backend); }
inline void PrintTo(Interest interest, std::ostream* out) {
  constexpr std::array kNames = {"none", "read", "write", "read|write"};
  *out << kNames[static_cast<std::size_t>(interest) % kNames.size()];
}

// The base of tests that must hold on every backend:
//   INSTANTIATE_TEST_SUITE_P(Backends, MySuite, ::testing::ValuesIn(available_backends()),
//                            ::testing::PrintToStringParamName());
class BackendTest : public ::testing::TestWithParam<Backend> {
 private:
  FdGuard descriptors_;
};

}  // namespace reactor
