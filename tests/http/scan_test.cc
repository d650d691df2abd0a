// SPDX-License-Identifier: MIT
// Each block implementation must agree with the table on every byte at every place, and must read
// nothing beyond its memory.
#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <string>
#include <string_view>

#include "reactor/http/internal/parse/scan.h"
#include "reactor/http/internal/parse/scan_native.h"
#include "tests/http/outcomes.h"

namespace reactor::http {
namespace {

template <class Block>
class Scan : public ::testing::Test {};

#if defined(__AVX2__)
using Blocks = ::testing::Types<scan::PortableBlock, scan::Sse2Block, scan::Avx2Block>;
#else
using Blocks = ::testing::Types<scan::PortableBlock, scan::NativeBlock>;
#endif
TYPED_TEST_SUITE(Scan, Blocks);

std::size_t by_table(chars::Class wanted, std::string_view text, std::size_t from) {
  while (from < text.size() && chars::is(wanted, text[from])) ++from;
  return from;
}

// Returns the end of a target, in which each '%' needs two hex digits after it.
std::size_t target_by_table(std::string_view text, std::size_t from) {
  const auto triplet = [text](std::size_t at) {
    return text.substr(at).size() > 2 && text[at] == '%' && chars::is(chars::kHex, text[at + 1]) &&
           chars::is(chars::kHex, text[at + 2]);
  };
  for (;;) {
    from = by_table(chars::kTarget, text, from);
    if (!triplet(from)) return from;
    from += 3;
  }
}

template <class Block>
void compare_all(std::string_view text, std::size_t from) {
  const testing::Exact exact(text);
  const char* const begin = exact.view().data();
  const char* const end = begin + text.size();
  const auto at = [&](const char* place) { return static_cast<std::size_t>(place - begin); };
  ASSERT_EQ(at(scan::value<Block>(begin, begin + from, end)), by_table(chars::kValue, text, from));
  ASSERT_EQ(at(scan::target<Block>(begin, begin + from, end)), target_by_table(text, from));
  ASSERT_EQ(at(scan::token<Block>(begin, begin + from, end)), by_table(chars::kToken, text, from));
}

TYPED_TEST(Scan, KnowsEachByteAtEachPlace) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t place = 0; place < 70; ++place) {
      std::string text(70, 'a');
      text[place] = static_cast<char>(byte);
      compare_all<TypeParam>(text, 0);
      compare_all<TypeParam>(text.substr(0, place + 1), place / 2);
    }
  }
}

TYPED_TEST(Scan, KnowsTripletsAtEachPlace) {
  for (const std::string triplet : {"%00", "%aF", "%%20", "%2", "%2g", "%g2", "%20%20", "%20%"}) {
    for (std::size_t place = 0; place < 70; ++place) {
      std::string text(70, 'a');
      text.replace(place, triplet.size(), triplet);
      compare_all<TypeParam>(text, 0);
      compare_all<TypeParam>(text.substr(0, place + triplet.size()), place / 2);
    }
  }
}

TYPED_TEST(Scan, KnowsEachLengthAndStart) {
  for (std::size_t size = 0; size < 100; ++size) {
    const std::string text(size, 'a');
    for (std::size_t from = 0; from <= size; ++from) compare_all<TypeParam>(text, from);
  }
}

TYPED_TEST(Scan, AgreesOnRandomText) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 80, 'a');
    const auto rarity = 1 + random() % 40;
    for (char& byte : text) {
      if (random() % rarity == 0) byte = static_cast<char>(random() % 256);
    }
    compare_all<TypeParam>(text, text.empty() ? 0 : random() % text.size());
  }
}

// A mask may mark a byte that is in the class, but must mark every byte that is outside.
TYPED_TEST(Scan, MarksNothingThatIsOutside) {
  for (int byte = 0; byte < 256; ++byte) {
    char block[64];
    std::fill(std::begin(block), std::end(block), static_cast<char>(byte));
    const char value = static_cast<char>(byte);
    EXPECT_EQ(TypeParam::outside_label(block) == 0, chars::is(chars::kLabel, value)) << byte;
    const bool target =
        chars::is(chars::kTarget, value) && value != '!' && value != '$' && value != '~';
    EXPECT_EQ(TypeParam::outside_target(block) == 0, target) << byte;
    EXPECT_EQ(TypeParam::outside_value(block) == 0, byte >= 0x20 && byte <= 0x7e) << byte;
  }
}

TEST(Chars, ClassesAreThoseOfTheGrammar) {
  int tokens = 0;
  int targets = 0;
  int values = 0;
  int hex = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const char value = static_cast<char>(byte);
    tokens += chars::is(chars::kToken, value) ? 1 : 0;
    targets += chars::is(chars::kTarget, value) ? 1 : 0;
    values += chars::is(chars::kValue, value) ? 1 : 0;
    hex += chars::is(chars::kHex, value) ? 1 : 0;
  }
  EXPECT_EQ(tokens, 26 + 26 + 10 + 15);
  EXPECT_EQ(targets, 94 - 11);
  EXPECT_EQ(values, 94 + 2 + 128);
  EXPECT_EQ(hex, 22);
  EXPECT_TRUE(chars::all(chars::kToken, "!#$%&'*+-.^_`|~"));
}

}  // namespace
}  // namespace reactor::http
