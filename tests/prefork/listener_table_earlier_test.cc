// SPDX-License-Identifier: MIT
// The sockets that a new program takes over from an earlier one.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reactor/prefork/internal/listener_table.h"
#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"
#include "tests/support/pipes.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

class ListenerTableEarlierTest : public ::testing::Test {
 protected:
  // Starts the earlier program, with four workers.
  void start_old(const Bind& bind) {
    options_.addresses = {bind};
    options_.workers = 4;
    Inheritance none;
    old_.emplace();
    ASSERT_TRUE(old_->open(options_, none, failure_)) << failure_.error.message();
  }
  // Starts the new program. It takes over copies of the sockets, as after exec(3).
  void start_new(unsigned workers) {
    std::string text;
    for (const ListenerGroup& group : old_->describe()) {
      text += "group " + std::to_string(group.balanced ? 1 : 0) + " ";
      for (const int fd : group.descriptors) {
        text += (text.back() == ' ' ? "" : ",") + std::to_string(::dup(fd));
      }
      text += " " + group.key + "\n";
    }
    text += "mailboxes \nend\n";
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    channel_.reset(ends[0]);
    write_text(ends[0], text);
    ::setenv(Upgrade::kName, std::to_string(ends[1]).c_str(), 1);
    inheritance_ = Inheritance::take();
    ASSERT_TRUE(inheritance_);
    options_.workers = workers;
    fresh_.emplace();
    ASSERT_TRUE(fresh_->open(options_, inheritance_, failure_)) << failure_.error.message();
  }
  static ino_t inode(const ListenerTable& table, unsigned slot) {
    struct stat status {};
    EXPECT_EQ(::fstat(table.listeners_of(slot).value().at(0).fd(), &status), 0);
    return status.st_ino;
  }
  static bool listens(const ListenerTable& table, unsigned slot) {
    return socket_option(table.listener(slot, 0), SOL_SOCKET, SO_ACCEPTCONN) != 0;
  }

  FdGuard guard_;
  LogCapture log_;
  Options options_;
  ListenerTable::Failure failure_;
  UniqueFd channel_;
  Inheritance inheritance_;
  std::optional<ListenerTable> old_, fresh_;
};

TEST_F(ListenerTableEarlierTest, AreTheSameSockets) {
  start_old(Address::loopback(0));
  start_new(4);
  EXPECT_EQ(fresh_->addresses(), old_->addresses());
  EXPECT_EQ(fresh_->slots(), 4U);
  for (unsigned slot = 0; slot < 4; ++slot) EXPECT_EQ(inode(*fresh_, slot), inode(*old_, slot));
}

TEST_F(ListenerTableEarlierTest, AreAllKeptByFewerWorkers) {
  start_old(Address::loopback(0));
  start_new(2);
  const unsigned all = old_->listener(0, 0) >= 0 ? 4 : 2;
  EXPECT_EQ(fresh_->slots(), all) << "a queue that nobody has would lose connections";
  EXPECT_EQ(inode(*fresh_, all - 1), inode(*old_, all - 1));
}

TEST_F(ListenerTableEarlierTest, AnAddressThatTheNewProgramDoesNotHaveEnds) {
  const TemporaryFolder folder;
  const Endpoint ends = folder.socket();
  start_old(Address::loopback(0));
  old_.reset();
  options_.addresses = {Address::loopback(0), ends};
  Inheritance none;
  old_.emplace();
  ASSERT_TRUE(old_->open(options_, none, failure_));
  options_.addresses.pop_back();
  start_new(4);
  EXPECT_TRUE(log_.contains(ends.to_string() + " is not in this configuration"));
  inheritance_.say_ready();
  EXPECT_EQ(read_text(channel_.get()), "R1");
  EXPECT_EQ(::access(std::string(ends.address.path()).c_str(), F_OK), 0) << "still the old one's";
  EXPECT_EQ(old_->drop(1).size(), 1U);
  EXPECT_NE(::access(std::string(ends.address.path()).c_str(), F_OK), 0);
  EXPECT_TRUE(old_->drop(1).empty());
  EXPECT_TRUE(old_->drop(2).empty());
}

// Its listener goes on with the process that passed it.
TEST_F(ListenerTableEarlierTest, AnInheritedSocketThatEndsHereStaysAsItIs) {
  Socket made = Socket::listen(Address::loopback(0), {}).value();
  const Address address = made.local().value();
  options_.addresses = {InheritedSocket{::dup(made.fd())}};
  options_.reuse_port = false;
  Inheritance none;
  old_.emplace();
  ASSERT_TRUE(old_->open(options_, none, failure_));
  old_->drop(0).clear();
  const UniqueFd client(::socket(address.family(), SOCK_STREAM, 0));
  EXPECT_EQ(::connect(client.get(), address.data(), address.size()), 0);
}

// If a new socket listened earlier, it would get connections that no worker accepts yet.
TEST_F(ListenerTableEarlierTest, ThoseThatAreMadeBesideThemListenOnlyWhenAllAreOurs) {
  start_old(Address::loopback(0));
  if (old_->listener(0, 0) < 0) GTEST_SKIP() << "all workers share one listener here";
  start_new(6);
  EXPECT_EQ(fresh_->slots(), 6U);
  for (unsigned slot = 0; slot < 6; ++slot) EXPECT_EQ(listens(*fresh_, slot), slot < 4) << slot;
  ASSERT_FALSE(fresh_->grow(7));
  EXPECT_FALSE(listens(*fresh_, 6));
  ASSERT_FALSE(fresh_->take_possession());
  for (unsigned slot = 0; slot < 7; ++slot) EXPECT_TRUE(listens(*fresh_, slot)) << slot;
  ASSERT_FALSE(fresh_->grow(8));
  EXPECT_TRUE(listens(*fresh_, 7)) << "from here on as any other";
}

TEST_F(ListenerTableEarlierTest, AreNotOursToMendBeforeThat) {
  start_old(Address::loopback(0));
  start_new(4);
  EXPECT_EQ(fresh_->mend(), 0U);
  ::shutdown(fresh_->listeners_of(1).value().at(0).fd(), SHUT_RD);
  EXPECT_EQ(fresh_->mend(), 0U) << "the earlier program looks after them";
  ASSERT_FALSE(fresh_->take_possession());
  EXPECT_EQ(fresh_->mend(), 1U);
  EXPECT_EQ(fresh_->mend(), 0U);
}

#if defined(__linux__)
// If the earlier program stays after all, its clients must find it unchanged.
TEST_F(ListenerTableEarlierTest, AreNotMadeDeafBeforeThat) {
  const auto refuses = [](const ListenerTable& table) {
    const int fd = table.listener(0, 0);
    socklen_t count = 0;  // the number of the filter's instructions
    EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &count), 0);
    return count > 0;
  };
  start_old(Address::loopback(0));
  start_new(4);
  fresh_->refuse_new();
  EXPECT_FALSE(refuses(*old_));
  ASSERT_FALSE(fresh_->take_possession());
  fresh_->refuse_new();
  EXPECT_TRUE(refuses(*old_));
  fresh_->accept_new();
  EXPECT_FALSE(refuses(*old_));
  fresh_->give_up_possession();
  fresh_->refuse_new();
  EXPECT_FALSE(refuses(*old_)) << "they are a later program's";
}
#endif

#if defined(__linux__)
// It was killed amid its drain. No worker of this program has made the listeners deaf.
TEST_F(ListenerTableEarlierTest, LetConnectionsInAgainOnceTheyAreOurs) {
  start_old(Address::loopback(0));
  start_new(4);
  old_->refuse_new();
  ASSERT_FALSE(fresh_->take_possession());
  EXPECT_EQ(fresh_->mend(), 0U);
  EXPECT_TRUE(Socket::connect(fresh_->addresses()[0].address));
}
#endif

TEST_F(ListenerTableEarlierTest, AUnixSocketsFileIsTheOneProgramsOrTheOthers) {
  const TemporaryFolder folder;
  start_old(folder.socket());
  start_new(4);
  fresh_.reset();
  EXPECT_EQ(folder.files(), 1U) << "it gave up";
  start_new(4);
  ASSERT_FALSE(fresh_->take_possession());
  old_->give_up_possession();
  old_.reset();
  EXPECT_EQ(folder.files(), 1U);
  fresh_.reset();
  EXPECT_EQ(folder.files(), 0U);
}

// The process that passed the socket to the earlier program keeps the file.
TEST_F(ListenerTableEarlierTest, TheFileOfAnInheritedSocketIsItsMakers) {
  const TemporaryFolder folder;
  Socket made = Socket::listen(folder.socket(), {}).value();
  start_old(InheritedSocket{made.release().release()});
  start_new(4);
  ASSERT_FALSE(fresh_->take_possession());
  old_->give_up_possession();
  old_.reset();
  fresh_.reset();
  EXPECT_EQ(folder.files(), 1U);
}

}  // namespace
}  // namespace reactor::prefork
