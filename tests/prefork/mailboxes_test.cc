// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/siblings/mailboxes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "reactor/net/fd_passing.h"
#include "tests/prefork/lingering.h"
#include "tests/support/fd_guard.h"

namespace reactor::prefork {
namespace {

std::vector<std::byte> some_bytes(std::size_t count) {
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
    EXPECT_TRUE(boxes.send(1, theirs_.get(), some_bytes(size)).value());
  }
  EXPECT_FALSE(boxes.receive(boxes.out_of(0)).value().connection);
  for (const std::size_t size : sizes) {
    const MailedConnection mailed = boxes.receive(boxes.out_of(1)).value();
    ASSERT_TRUE(mailed.connection);
    EXPECT_TRUE(std::ranges::equal(mailed.state, some_bytes(size)));
    ASSERT_EQ(::write(mailed.connection.get(), "x", 1), 1);
    char byte = 0;
    ASSERT_EQ(::read(ours_.get(), &byte, 1), 1);
  }
  EXPECT_FALSE(boxes.receive(boxes.out_of(1)).value().connection);
}

TEST_F(MailboxesTest, RefuseAStateThatIsTooLarge) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  const Result<bool> sent = boxes.send(0, theirs_.get(), some_bytes(Mailboxes::kMaxState + 1));
  EXPECT_EQ(sent.error(), std::errc::message_size);
  EXPECT_FALSE(boxes.receive(boxes.out_of(0)).value().connection);
}

TEST_F(MailboxesTest, SayWhenTheyAreFull) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  const std::vector<std::byte> state = some_bytes(Mailboxes::kMaxState);
  int sent = 0;
  while (sent < 100'000 && boxes.send(0, theirs_.get(), state).value()) ++sent;
  ASSERT_GT(sent, 1);
  ASSERT_LT(sent, 100'000);
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(boxes.receive(boxes.out_of(0)).value().connection);
  EXPECT_FALSE(boxes.receive(boxes.out_of(0)).value().connection);
  EXPECT_TRUE(boxes.send(0, theirs_.get(), state).value());
}

// A worker of the earlier program can neither read nor write the mailboxes of the new one.
TEST_F(MailboxesTest, OfAnEarlierProgramAreOnlyReceivedFrom) {
  Mailboxes old;
  ASSERT_FALSE(old.grow(2));
  ASSERT_TRUE(old.send(1, theirs_.get(), some_bytes(5)).value());
  std::vector<std::pair<UniqueFd, UniqueFd>> ends;
  for (unsigned slot = 0; slot < 2; ++slot) {
    ends.emplace_back(UniqueFd(::dup(old.into(slot))), UniqueFd(::dup(old.out_of(slot))));
  }
  Mailboxes later;
  later.adopt(std::move(ends));
  ASSERT_FALSE(later.grow(3));
  EXPECT_EQ(later.count(), 3U);
  ASSERT_EQ(later.earlier().size(), 2U);
  EXPECT_FALSE(later.waits(1));
  const MailedConnection mailed = later.receive(later.earlier()[1].get()).value();
  EXPECT_TRUE(mailed.connection);
  EXPECT_EQ(mailed.state.size(), 5U);

  ASSERT_TRUE(later.send(1, theirs_.get(), {}).value());
  EXPECT_FALSE(old.receive(old.out_of(1)).value().connection);
  old.close();
  EXPECT_TRUE(later.receive(later.earlier()[0].get()).value().ended);
}

// ---- Messages that can't be received yet are not lost ----

TEST_F(MailboxesTest, GiveNothingWithoutAFreeDescriptor) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  ASSERT_TRUE(boxes.send(0, theirs_.get(), some_bytes(3)).value());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd lowest(::dup(STDERR_FILENO));
  const rlimit none{static_cast<rlim_t>(lowest.get()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const Result<MailedConnection> refused = boxes.receive(boxes.out_of(0));
  EXPECT_EQ(refused.error(), std::errc::too_many_files_open);
  EXPECT_TRUE(boxes.waits(0));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const MailedConnection mailed = boxes.receive(boxes.out_of(0)).value();
  EXPECT_TRUE(mailed.connection);
  EXPECT_EQ(mailed.state.size(), 3U);
}

// ---- Messages from strangers ----

TEST_F(MailboxesTest, DropWhatNoWorkerOfThisVersionSends) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  const UniqueFd file(::open("/dev/null", O_RDONLY));
  const std::array<std::byte, 4> other_version{std::byte{2}};
  const std::array<std::byte, 4> this_version{std::byte{1}};
  struct Sent {
    const char* name;
    std::span<const std::byte> bytes;
    int descriptor;
  };
  const Sent strangers[] = {
      {"another version", other_version, theirs_.get()},
      {"no descriptor", this_version, -1},
      {"nothing", {}, -1},
      {"nothing but a descriptor", {}, theirs_.get()},
      {"no socket", this_version, file.get()},
      {"a socket for datagrams", this_version, boxes.into(0)},
  };
  for (const Sent& stranger : strangers) {
    SCOPED_TRACE(stranger.name);
    ASSERT_FALSE(
        send_with_descriptor(boxes.into(0), stranger.bytes, stranger.descriptor).is_error());
    ASSERT_TRUE(boxes.send(0, theirs_.get(), some_bytes(2)).value());
    const auto open_before = FdGuard::open_descriptors();
    EXPECT_EQ(boxes.receive(boxes.out_of(0)).error(), std::errc::bad_message);
    EXPECT_EQ(FdGuard::open_descriptors(), open_before);
    EXPECT_EQ(boxes.receive(boxes.out_of(0)).value().state.size(), 2U) << "the next one";
  }
}

TEST_F(MailboxesTest, NothingIsSentAgainstTheirDirection) {
  Mailboxes boxes;
  ASSERT_FALSE(boxes.grow(1));
  const std::array<std::byte, 1> byte{std::byte{1}};
  EXPECT_TRUE(send_with_descriptor(boxes.out_of(0), byte, theirs_.get()).is_error());
  EXPECT_TRUE(boxes.send(0, theirs_.get(), {}).value());
}

// Closing a mailbox closes the sockets that wait in it. That could block for as long as their
// sender likes.
TEST_F(MailboxesTest, NoSenderHoldsUpAMasterThatLeavesThem) {
  struct Way {
    const char* name;
    std::size_t size;
    bool earlier;
  };
  for (const Way way : {Way{"a message", 1, false}, Way{"an empty message", 0, false},
                        Way{"to an earlier program's", 0, true}}) {
    SCOPED_TRACE(way.name);
    Mailboxes boxes;
    ASSERT_FALSE(boxes.grow(2));
    Lingering lingering;
    {
      const UniqueFd socket = std::move(lingering.socket);
      const std::array<std::byte, 1> bytes{std::byte{1}};
      ASSERT_FALSE(
          send_with_descriptor(boxes.into(1), std::span(bytes).first(way.size), socket.get())
              .is_error());
    }
    Mailboxes later;
    std::vector<std::pair<UniqueFd, UniqueFd>> ends;
    if (way.earlier) {
      ends.emplace_back(UniqueFd(), UniqueFd(::dup(boxes.out_of(1))));
      later.adopt(std::move(ends));
    }
    const TimePoint start = monotonic_now();
    boxes.leave();
    later.leave();
    EXPECT_LT(monotonic_now() - start, std::chrono::seconds(10));
    EXPECT_EQ(boxes.count(), 0U);
  }
}

}  // namespace
}  // namespace reactor::prefork
