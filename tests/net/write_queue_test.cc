// SPDX-License-Identifier: MIT
#include "reactor/net/stream/internal/write_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace reactor {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string front(WriteQueue& queue) {
  const auto bytes = queue.front_bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

UniqueFd open_file() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(WriteQueue, ANewOneIsEmpty) {
  WriteQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
  EXPECT_EQ(queue.front_file(), nullptr);
  EXPECT_TRUE(queue.front_bytes().empty());
}

TEST(WriteQueue, BytesAreCopiedAndJoined) {
  WriteQueue queue;
  std::string text = "ab";
  queue.append(bytes_of(text));
  text = "cd";
  queue.append(bytes_of(text));
  text = "--";
  EXPECT_EQ(front(queue), "abcd");
  EXPECT_EQ(queue.bytes(), 4U);
  EXPECT_FALSE(queue.empty());
}

TEST(WriteQueue, TheRestIsLeftAfterAShortWrite) {
  WriteQueue queue;
  queue.append(bytes_of("abcd"));
  queue.wrote(0);
  EXPECT_EQ(front(queue), "abcd");
  queue.wrote(3);
  EXPECT_EQ(front(queue), "d");
  EXPECT_EQ(queue.bytes(), 1U);
  queue.append(bytes_of("e"));
  EXPECT_EQ(front(queue), "de");
  queue.wrote(2);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0U);
}

TEST(WriteQueue, BytesAndFilesComeInTheOrderOfTheirCalls) {
  WriteQueue queue;
  queue.append(bytes_of("a"));
  queue.append({open_file(), 10, 5});
  queue.append(bytes_of("b"));
  queue.append({open_file(), 20, 6});
  queue.append({open_file(), 30, 7});
  queue.append(bytes_of("c"));
  EXPECT_EQ(queue.bytes(), 3U);
  EXPECT_EQ(queue.front_file(), nullptr);
  EXPECT_EQ(front(queue), "a");
  queue.wrote(1);
  ASSERT_NE(queue.front_file(), nullptr);
  EXPECT_TRUE(queue.front_bytes().empty());
  EXPECT_EQ(queue.front_file()->offset, 10U);
  queue.wrote(5);
  EXPECT_EQ(front(queue), "b");
  queue.wrote(1);
  EXPECT_EQ(queue.front_file()->offset, 20U);
  queue.wrote(6);
  EXPECT_EQ(queue.front_file()->offset, 30U);
  queue.wrote(7);
  EXPECT_EQ(front(queue), "c");
  queue.wrote(1);
  EXPECT_TRUE(queue.empty());
}

TEST(WriteQueue, AFileIsLeftAfterAShortWriteAndKeepsItsNote) {
  WriteQueue queue;
  queue.append({open_file(), 100, 50});
  queue.front_file()->copied = true;
  queue.wrote(20);
  ASSERT_NE(queue.front_file(), nullptr);
  EXPECT_EQ(queue.front_file()->offset, 120U);
  EXPECT_EQ(queue.front_file()->left, 30U);
  EXPECT_TRUE(queue.front_file()->copied);
  queue.wrote(30);
  EXPECT_EQ(queue.front_file(), nullptr);
  EXPECT_TRUE(queue.empty());
}

TEST(WriteQueue, AFileIsClosedWhenItIsWritten) {
  WriteQueue queue;
  UniqueFd file = open_file();
  const int fd = file.get();
  queue.append({std::move(file), 0, 1});
  EXPECT_NE(::fcntl(fd, F_GETFD), -1);
  queue.wrote(1);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST(WriteQueue, TheMarksCountBytesAndAFileIsAboveAnyMark) {
  WriteQueue queue;
  EXPECT_TRUE(queue.below(1));
  EXPECT_TRUE(queue.drained(0));
  queue.append(bytes_of("abcd"));
  EXPECT_TRUE(queue.below(5));
  EXPECT_FALSE(queue.below(4));
  EXPECT_TRUE(queue.drained(4));
  EXPECT_FALSE(queue.drained(3));
  queue.append({open_file(), 0, 1});
  EXPECT_EQ(queue.bytes(), 4U) << "a file does not count";
  EXPECT_FALSE(queue.below(100));
  EXPECT_FALSE(queue.drained(100));
  EXPECT_TRUE(queue.has_files());
  queue.wrote(4);
  queue.wrote(1);
  EXPECT_FALSE(queue.has_files());
  EXPECT_TRUE(queue.drained(0));
}

}  // namespace
}  // namespace reactor
