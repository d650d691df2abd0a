// SPDX-License-Identifier: MIT
// The number of workers to which connections can be steered by processor.
#include "reactor/prefork/internal/system/steering.h"

#include <gtest/gtest.h>

#include <vector>

#include "reactor/base/error.h"
#include "reactor/net/socket.h"

namespace reactor::prefork {
namespace {

#if defined(__linux__)
TEST(SteeringTest, AThousandWorkersCanBeSteeredAndNoMore) {
  ListenOptions options;
  options.reuse_port = true;
  const Socket listener = Socket::listen(Address::loopback(0), options).value();
  const auto steer = [&](std::size_t workers) {
    return steer_by_processor(listener.fd(), std::vector<int>(workers, 0));
  };
  EXPECT_FALSE(steer(1));
  EXPECT_NE(steer(1000), Errc::not_supported) << "unless the system has no memory for the filter";
  EXPECT_EQ(steer(1001), Errc::not_supported);
  EXPECT_EQ(steer(0), Errc::not_supported);
  stop_steering(listener.fd());
}
#endif

}  // namespace
}  // namespace reactor::prefork
