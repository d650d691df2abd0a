// SPDX-License-Identifier: MIT
#include "reactor/prefork/mailboxes.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "tests/support/fd_guard.h"

namespace reactor::prefork {
namespace {

std::vector<std::byte> octets(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7);
  return bytes;
}

class MailboxesTest : public ::testing::Test {
 protected:
  MailboxesTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
  }

  FdGuard guard_;
  UniqueFd ours_, theirs_;
};

TEST_F(MailboxesTest, KeepConnectionsAndTheirStatesApartAndInOrder) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(3));
  EXPECT_EQ(boxes.count(), 3U);
  const std::array<std::size_t, 4> sizes{0, 1, 1000, Mailboxes::kMaxState};
  for (const std::size_t size : sizes) {
    EXPECT_TRUE(boxes.send(1, theirs_.get(), octets(size)).value());
  }
  EXPECT_FALSE(boxes.receive(0).value().connection);
  for (const std::size_t size : sizes) {
    const Letter letter = boxes.receive(1).value();
    ASSERT_TRUE(letter.connection);
    EXPECT_TRUE(std::ranges::equal(letter.state, octets(size)));
    ASSERT_EQ(::write(letter.connection.get(), "x", 1), 1);
    char octet = 0;
    ASSERT_EQ(::read(ours_.get(), &octet, 1), 1);
  }
  EXPECT_FALSE(boxes.receive(1).value().connection);
}

TEST_F(MailboxesTest, RefuseAStateThatIsTooLarge) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  const Result<bool> sent = boxes.send(0, theirs_.get(), octets(Mailboxes::kMaxState + 1));
  EXPECT_EQ(sent.error(), std::errc::message_size);
  EXPECT_FALSE(boxes.receive(0).value().connection);
}

TEST_F(MailboxesTest, SayWhenTheyAreFull) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  const std::vector<std::byte> state = octets(Mailboxes::kMaxState);
  int sent = 0;
  while (sent < 100'000 && boxes.send(0, theirs_.get(), state).value()) ++sent;
  ASSERT_GT(sent, 1);
  ASSERT_LT(sent, 100'000);
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(boxes.receive(0).value().connection);
  EXPECT_FALSE(boxes.receive(0).value().connection);
  EXPECT_TRUE(boxes.send(0, theirs_.get(), state).value());
}

TEST_F(MailboxesTest, AdoptThoseOfAnother) {
  Mailboxes earlier;
  ASSERT_FALSE(earlier.grow(2));
  ASSERT_TRUE(earlier.send(1, theirs_.get(), {}).value());
  std::vector<std::pair<UniqueFd, UniqueFd>> ends;
  for (unsigned slot = 0; slot < 2; ++slot) {
    ends.emplace_back(UniqueFd(::dup(earlier.into(slot))), UniqueFd(::dup(earlier.out_of(slot))));
  }
  Mailboxes later;
  later.adopt(std::move(ends));
  ASSERT_FALSE(later.grow(3));
  EXPECT_EQ(later.count(), 3U);
  EXPECT_TRUE(later.receive(1).value().connection);
  ASSERT_TRUE(earlier.send(0, theirs_.get(), octets(5)).value());
  EXPECT_EQ(later.receive(0).value().state.size(), 5U);
}

}  // namespace
}  // namespace reactor::prefork
