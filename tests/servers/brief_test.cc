// SPDX-License-Identifier: MIT
#include "servers/settings/brief.h"

#include <gtest/gtest.h>

namespace servers {
namespace {

TEST(Brief, IsCutBetweenCharacters) {
  EXPECT_EQ(brief("a\x1b"), R"(a\x1b)");
  EXPECT_EQ(brief(std::string(kBrief, 'a')), std::string(kBrief, 'a'));
  EXPECT_EQ(brief(std::string(kBrief + 1, 'a')), std::string(kBrief, 'a') + "... (257 bytes)");
  const std::string umlaut = std::string(kBrief - 1, '.') + "\xc3\xbc";
  EXPECT_EQ(brief(umlaut), std::string(kBrief - 1, '.') + "... (257 bytes)");
  EXPECT_LT(brief(std::string(100'000, '\x80')).size(), 5 * kBrief);
}

}  // namespace
}  // namespace servers
