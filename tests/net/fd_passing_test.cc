// SPDX-License-Identifier: MIT
#include "reactor/net/fd_passing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include "tests/support/fd_guard.h"
#include "tests/support/loop_test.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

class FdPassing : public ::testing::Test {
 protected:
  FdGuard guard_;
  std::pair<UniqueFd, UniqueFd> ends = get(message_pair());
  std::array<std::byte, 64> buffer{};
  UniqueFd got;

  void TearDown() override {
    ends = {};
    got.reset();
  }
  static std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
  }
  IoResult receive() { return receive_with_descriptor(ends.second.get(), buffer, got); }

  // Sends several descriptors in one message, as an untrusted peer may.
  void send_many(std::size_t count, int descriptor) {
    std::vector<int> numbers(count, descriptor);
    std::vector<char> control(CMSG_SPACE(sizeof(int) * count));
    char byte = 'x';
    iovec part{&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), numbers.data(), sizeof(int) * count);
    ASSERT_EQ(::sendmsg(ends.first.get(), &message, 0), 1);
  }
};

TEST_F(FdPassing, ADescriptorArrivesWithItsBytesAndIsClosedOnExec) {
  const FdPair pipe = make_pipe();
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("state"), pipe.near.get()).moved(5));
  ASSERT_TRUE(receive().moved(5));
  EXPECT_EQ(std::memcmp(buffer.data(), "state", 5), 0);
  ASSERT_TRUE(got);
  EXPECT_NE(got.get(), pipe.near.get());
  EXPECT_EQ(::fcntl(got.get(), F_GETFD), FD_CLOEXEC);
  write_text(pipe.far.get(), "through");
  EXPECT_EQ(read_text(got.get()), "through");
}

TEST_F(FdPassing, MessagesKeepApartAndOneMayComeWithoutADescriptor) {
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("a"), ends.first.get()).ok());
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("bc"), -1).ok());
  EXPECT_TRUE(receive().moved(1));
  EXPECT_TRUE(got);
  EXPECT_TRUE(receive().moved(2));
  EXPECT_FALSE(got) << "that of the first message";
}

TEST_F(FdPassing, NothingThereAndNoRoomAreStates) {
  EXPECT_TRUE(receive().would_block());
  int sent = 0;
  IoResult result = IoResult::blocked();
  do result = send_with_descriptor(ends.first.get(), bytes("x"), ends.first.get());
  while (result.ok() && ++sent < 100000);
  EXPECT_TRUE(result.would_block()) << result.error().message();
  EXPECT_GT(sent, 0);
  int received = 0;
  while (receive().ok()) ++received;
  EXPECT_EQ(received, sent);
}

TEST_F(FdPassing, SurplusDescriptorsAreClosed) {
  const FdPair pipe = make_pipe();
  const auto before = FdGuard::open_descriptors();
  for (const std::size_t count : {2U, 16U, 100U}) {  // 100 are more than there is room for
    send_many(count, pipe.near.get());
    ASSERT_TRUE(receive().moved(1));
    EXPECT_TRUE(got);
    got.reset();
    EXPECT_EQ(FdGuard::open_descriptors(), before) << count;
  }
}

#if defined(__linux__)
// A socket with SO_PASSPIDFD gets a pidfd of the sender with each message.
TEST_F(FdPassing, TheSendersPidfdIsClosed) {
  constexpr int kPassPidfd = 76;  // SO_PASSPIDFD of Linux 6.5
  const int on = 1;
  if (::setsockopt(ends.second.get(), SOL_SOCKET, kPassPidfd, &on, sizeof(on)) != 0) {
    GTEST_SKIP() << "the kernel has none";
  }
  const auto before = FdGuard::open_descriptors();
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("a"), ends.first.get()).ok());
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("b"), -1).ok());
  ASSERT_TRUE(receive().moved(1));
  EXPECT_TRUE(got);
  ASSERT_TRUE(receive().moved(1));
  EXPECT_FALSE(got);
  EXPECT_EQ(FdGuard::open_descriptors(), before);
}
#endif

TEST_F(FdPassing, AMessageThatIsCutOffIsAnErrorAndLeavesNoDescriptor) {
  const std::vector<std::byte> large(buffer.size() + 1);
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), large, ends.first.get()).ok());
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("next"), -1).ok());
  EXPECT_EQ(receive().error(), std::errc::message_size);
  EXPECT_FALSE(got);
  EXPECT_TRUE(receive().moved(4));
}

TEST_F(FdPassing, ADescriptorThatThereIsNoRoomForIsAnErrorAndLeavesNone) {
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("lost"), ends.first.get()).ok());
  ASSERT_TRUE(send_with_descriptor(ends.first.get(), bytes("next"), ends.first.get()).ok());
  const auto before = FdGuard::open_descriptors();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit few = limit;
  few.rlim_cur = static_cast<rlim_t>(UniqueFd(::dup(STDIN_FILENO)).get());  // the lowest free one
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const IoResult result = receive();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(result.error(), std::errc::too_many_files_open);
  EXPECT_FALSE(got);
  EXPECT_EQ(FdGuard::open_descriptors(), before);
  EXPECT_TRUE(receive().moved(4));
  EXPECT_TRUE(got);
}

TEST_F(FdPassing, APairIsClosedOnExecAndNonBlocking) {
  for (const UniqueFd* const end : {&ends.first, &ends.second}) {
    EXPECT_EQ(::fcntl(end->get(), F_GETFD), FD_CLOEXEC);
    EXPECT_NE(::fcntl(end->get(), F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST_F(FdPassing, TheEndAndErrorsAreTold) {
  EXPECT_EQ(send_with_descriptor(ends.first.get(), bytes("x"), 1 << 20).error(),
            std::errc::bad_file_descriptor);
  ends.first.reset();
  EXPECT_FALSE(receive().ok());
  EXPECT_FALSE(send_with_descriptor(ends.second.get(), bytes("x"), -1).ok()) << "and no SIGPIPE";
}

}  // namespace
}  // namespace reactor
