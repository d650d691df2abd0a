// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "reactor/loop/loop.h"
#include "tests/support/backends.h"
#include "tests/support/pipes.h"
#include "tests/support/run.h"

namespace reactor {

// LoopTest is the base of the suites that run on every backend. Each test makes its own
// Loop(options()).
class LoopTest : public BackendTest {
 protected:
  // Switches off the reports of slow callbacks, because on a busy machine any callback may be slow.
  [[nodiscard]] static LoopOptions options() {
    LoopOptions options;
    options.backend = GetParam();
    options.slow_callback = Duration::zero();
    return options;
  }
};

// These two are for INSTANTIATE_TEST_SUITE_P(Backends, Suite, every_backend(), BackendName());
[[nodiscard]] inline auto every_backend() { return ::testing::ValuesIn(available_backends()); }
struct BackendName {
  std::string operator()(const ::testing::TestParamInfo<Backend>& info) const {
    return std::string(to_string(info.param));
  }
};

// Returns the value of `result`. If there is none, the test fails and value() throws.
template <class T>
[[nodiscard]] T get(Result<T> result) {
  EXPECT_TRUE(result.has_value()) << result.error().message();
  return std::move(result).value();
}

}  // namespace reactor
