// SPDX-License-Identifier: MIT
#include "reactor/base/printable.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

namespace reactor {
namespace {

using namespace std::string_literals;

TEST(Printable, LeavesTextAsItIs) {
  for (const std::string text :
       {"", " ", "plain ~ text", "back\\slash and \"quotes\"", "\xc2\xa0", "gr\xc3\xbc\xc3\x9f",
        "\xe2\x82\xac \xe2\x80\xa7 \xe2\x80\xaa", "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_printable(text)) << text;
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesWhatIsNoLineOfText) {
  const struct {
    std::string text;
    std::string shown;
  } cases[] = {
      {"a\nb", "a\\nb"},
      {"\r\n\t", "\\r\\n\\t"},
      {"\0"s, "\\x00"},
      {"\x1b[2J", "\\x1b[2J"},
      {"\x7f", "\\x7f"},
      {"\xc2\x9b", "\\xc2\\x9b"},                      // C1: CSI
      {"\xc2\x80 \xc2\x9f", "\\xc2\\x80 \\xc2\\x9f"},  // the first and the last C1 character
      {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},             // the line and paragraph separators
      {"\xe2\x80\xa9", "\\xe2\\x80\\xa9"},
      {"\x80 \xbf", "\\x80 \\xbf"},  // continuation bytes without a first byte
      {"\xc0\x80", "\\xc0\\x80"},    // overlong encodings
      {"\xe0\x9f\xbf", "\\xe0\\x9f\\xbf"},
      {"\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},  // a surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
      {"\xf5\xff", "\\xf5\\xff"},
      {"\xc3", "\\xc3"},  // cut off
      {"\xc3 ", "\\xc3 "},
      {"\xe2\x82", "\\xe2\\x82"},
      {"\xf0\x9f\x98", "\\xf0\\x9f\\x98"},
      {"\xc3\xa4\n\xc3\xa4", "\xc3\xa4\\n\xc3\xa4"},
  };
  for (const auto& [text, shown] : cases) {
    EXPECT_FALSE(is_printable(text)) << shown;
    EXPECT_EQ(printable(text), shown);
    EXPECT_TRUE(is_printable(printable(text)));
    std::array<char, 64> memory;
    EXPECT_EQ(printable(memory, text), shown);
  }
}

TEST(Printable, EscapesEachByteThatIsNoCharacter) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(is_printable(text), byte >= 0x20 && byte <= 0x7e) << byte;
    EXPECT_TRUE(is_printable(printable("a" + text + "b")));
  }
  EXPECT_EQ(printable(std::string_view("\xc3\xa9").substr(0, 1)), "\\xc3") << "reads one byte";
}

TEST(Printable, KeepsAllThatFitsBesideTheDots) {
  std::array<char, 8> memory{};
  EXPECT_EQ(printable(memory, "abcdefgh"), "abcdefgh");
  EXPECT_EQ(printable(memory, "abcdefghi"), "abcde...");
}

TEST(Printable, CutsBetweenPiecesWhatDoesNotFit) {
  const std::string text = "ab\n\xc3\xa4\x01" + std::string(20, 'z');
  const std::string whole = printable(text);
  for (std::size_t size = 4; size <= whole.size() + 2; ++size) {
    std::string memory(size, '#');
    const std::string shown(printable(memory, text));
    if (size >= whole.size()) {
      EXPECT_EQ(shown, whole);
      continue;
    }
    ASSERT_TRUE(shown.ends_with("...")) << shown;
    const std::string kept = shown.substr(0, shown.size() - 3);
    EXPECT_TRUE(whole.starts_with(kept)) << shown;
    EXPECT_TRUE(is_printable(shown));
    EXPECT_GE(shown.size() + 4, size) << "no more is lost than a piece";
    EXPECT_TRUE(kept.empty() || (kept.back() != '\\' && kept.back() != 'x')) << shown;
  }
}

}  // namespace
}  // namespace reactor
