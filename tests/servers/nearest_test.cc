// SPDX-License-Identifier: MIT
#include "servers/settings/nearest.h"

#include <gtest/gtest.h>

namespace servers {
namespace {

TEST(Nearest, FindsWhatWasMeant) {
  const std::vector<std::string> words = {"workers", "bind", "log", "log-level",
                                          "graceful-timeout"};
  EXPECT_EQ(nearest("workers", words), "workers");
  EXPECT_EQ(nearest("wrokers", words), "workers");
  EXPECT_EQ(nearest("worker", words), "workers");
  EXPECT_EQ(nearest("workerss", words), "workers");
  EXPECT_EQ(nearest("wxrkxrs", words), "workers");
  EXPECT_EQ(nearest("--WORKERS", words), "workers");
  EXPECT_EQ(nearest("loglevel", words), "log-level");
  EXPECT_EQ(nearest("log_level", words), "log-level");
  EXPECT_EQ(nearest("gracefultimeout", words), "graceful-timeout");
  EXPECT_EQ(nearest("lgo", words), "log");
}

TEST(Nearest, FindsNothingWhereNothingIsNear) {
  const std::vector<std::string> words = {"workers", "bind", "log"};
  for (const char* word : {"", "-", "colour", "xyz", "wxyzers"}) {
    EXPECT_EQ(nearest(word, words), "") << word;
  }
  EXPECT_EQ(nearest(std::string(1000, 'w'), words), "");
  EXPECT_EQ(nearest("workers", {}), "");
}

}  // namespace
}  // namespace servers
