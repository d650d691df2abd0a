// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <unistd.h>

#include "tests/poller/poller_test.h"
#include "tests/support/fork.h"

namespace reactor {
namespace {

class PollerRegistration : public PollerTest {};

TEST_P(PollerRegistration, AddedDescriptorIsReportedWithItsToken) {
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 7));
  EXPECT_TRUE(wait().empty());
  write_text(pipe.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{7, Interest::read}}));
}

TEST_P(PollerRegistration, TokenKeepsAll64Bits) {
  const FdPair pipe = make_pipe();
  const Token token{0xfedcba98, 0x89abcdef};
  ASSERT_FALSE(poller().add(pipe.far.get(), Interest::write, token));
  std::array<PollEvent, 16> events;
  ASSERT_EQ(poller().wait(events, kPatience).value(), 1u);
  EXPECT_EQ(events[0].token, token);
}

TEST_P(PollerRegistration, AddTwiceIsAnErrorAndChangesNothing) {
  const FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "x");
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  EXPECT_EQ(add(pipe.near, Interest::read, 2), std::errc::file_exists);
  EXPECT_EQ(add(pipe.near, Interest::read_write, 2), std::errc::file_exists);
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read}}));
}

TEST_P(PollerRegistration, RemovedAndAddedAgainIsNew) {
  const FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "x");
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  ASSERT_FALSE(poller().remove(pipe.near.get(), Interest::read));
  EXPECT_TRUE(wait().empty());
  ASSERT_FALSE(add(pipe.near, Interest::read, 2));
  EXPECT_EQ(wait(kPatience), (Batch{{2, Interest::read}}));
}

TEST_P(PollerRegistration, TwoNumbersOfOneOpenFileAreTwo) {
  const FdPair pipe = make_pipe();
  const UniqueFd copy(::dup(pipe.near.get()));
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  ASSERT_FALSE(add(copy, Interest::read, 2));
  write_text(pipe.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read}, {2, Interest::read}}));
}

TEST_P(PollerRegistration, ClosedNumberIsABadDescriptor) {
  const int closed = UniqueFd(make_pipe().near).get();
  EXPECT_EQ(poller().add(closed, Interest::read, token_number(1)), std::errc::bad_file_descriptor);
}

TEST_P(PollerRegistration, RegularFileIsNotPermitted) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file);
  for (const Interest interest : {Interest::read, Interest::write, Interest::read_write}) {
    EXPECT_EQ(add(file, interest, 1), std::errc::operation_not_permitted);
  }
  EXPECT_TRUE(wait().empty());
}

TEST_P(PollerRegistration, DirectoryIsNotPermitted) {
  const UniqueFd directory(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(directory);
  EXPECT_EQ(add(directory, Interest::read, 1), std::errc::operation_not_permitted);
}

TEST_P(PollerRegistration, ModifyChangesTheInterest) {
  const FdPair pair = make_socket_pair();
  write_text(pair.far.get(), "x");
  ASSERT_FALSE(add(pair.near, Interest::read, 1));
  Interest now = Interest::read;
  for (const Interest next : {Interest::write, Interest::read_write, Interest::read,
                              Interest::read_write, Interest::write, Interest::read}) {
    ASSERT_FALSE(poller().modify(pair.near.get(), now, next, token_number(1)));
    EXPECT_EQ(wait(kPatience), (Batch{{1, next}}));
    now = next;
  }
}

TEST_P(PollerRegistration, ModifyChangesTheToken) {
  const FdPair pair = make_socket_pair();
  write_text(pair.far.get(), "x");
  ASSERT_FALSE(add(pair.near, Interest::read_write, 1));
  ASSERT_FALSE(poller().modify(pair.near.get(), Interest::read_write, Interest::read_write,
                               token_number(2)));
  EXPECT_EQ(wait(kPatience), (Batch{{2, Interest::read_write}}));
}

TEST_P(PollerRegistration, ModifyOfWhatWasNeverAddedFails) {
  const FdPair pipe = make_pipe();
  EXPECT_TRUE(
      is_gone(poller().modify(pipe.near.get(), Interest::read, Interest::write, token_number(1))));
  EXPECT_TRUE(is_gone(poller().remove(pipe.near.get(), Interest::read)));
}

// Its number is the first one behind the table of a backend that has one.
TEST_P(PollerRegistration, RemovingTheNextNumberFails) {
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  EXPECT_TRUE(is_gone(poller().remove(pipe.near.get() + 1, Interest::read)));
}

TEST_P(PollerRegistration, RemoveTwiceFails) {
  const FdPair pair = make_socket_pair();
  ASSERT_FALSE(add(pair.near, Interest::read_write, 1));
  EXPECT_FALSE(poller().remove(pair.near.get(), Interest::read_write));
  EXPECT_TRUE(is_gone(poller().remove(pair.near.get(), Interest::read_write)));
}

TEST_P(PollerRegistration, EqualModifyAsksWhetherTheFileIsStillHeld) {
  FdPair pair = make_socket_pair();
  const int number = pair.near.get();
  for (const Interest interest : {Interest::read, Interest::write, Interest::read_write}) {
    FdPair other = make_socket_pair();
    const int other_number = other.near.get();
    ASSERT_FALSE(add(other.near, interest, 1));
    EXPECT_FALSE(poller().modify(other_number, interest, interest, token_number(1)));
    other.near.reset();
    EXPECT_TRUE(is_gone(poller().modify(other_number, interest, interest, token_number(1))));
  }
  ASSERT_FALSE(add(pair.near, Interest::read, 2));
  EXPECT_FALSE(poller().modify(number, Interest::read, Interest::read, token_number(2)));
}

// The number was closed without telling the poller and now stands for another file.
TEST_P(PollerRegistration, RecycledNumberIsNew) {
  FdPair first = make_pipe();
  const int number = first.near.get();
  ASSERT_FALSE(add(first.near, Interest::read, 1));
  first.near.reset();
  FdPair second = make_pipe();
  const UniqueFd same = move_to(std::move(second.near), number);
  EXPECT_TRUE(is_gone(poller().modify(number, Interest::read, Interest::read, token_number(1))));
  ASSERT_FALSE(add(same, Interest::read, 2));
  write_text(second.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{2, Interest::read}}));
  EXPECT_FALSE(poller().remove(number, Interest::read));
  EXPECT_TRUE(wait().empty());
}

// The old interest is wider than the new one, and none of it may be left.
TEST_P(PollerRegistration, RecycledNumberInheritsNoInterest) {
  FdPair first = make_socket_pair();
  const int number = first.near.get();
  ASSERT_FALSE(add(first.near, Interest::read_write, 1));
  first.near.reset();
  FdPair second = make_socket_pair();
  const UniqueFd same = move_to(std::move(second.near), number);
  ASSERT_FALSE(add(same, Interest::read, 2));
  EXPECT_TRUE(wait().empty());
  write_text(second.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{2, Interest::read}}));
}

TEST_P(PollerRegistration, ClosedDescriptorIsSilent) {
  FdPair closed = make_pipe();
  const FdPair open = make_pipe();
  ASSERT_FALSE(add(closed.near, Interest::read, 1));
  ASSERT_FALSE(add(open.near, Interest::read, 2));
  closed.near.reset();
  write_text(open.far.get(), "x");
  // select(2) finds the closed number in one turn and goes on in the next (E2).
  Batch batch = wait(kPatience);
  if (batch.empty()) batch = wait(kPatience);
  EXPECT_EQ(batch, (Batch{{2, Interest::read}}));
}

TEST_P(PollerRegistration, RemoveAfterCloseLeavesTheOthers) {
  FdPair closed = make_socket_pair();
  const FdPair open = make_pipe();
  const int number = closed.near.get();
  ASSERT_FALSE(add(closed.near, Interest::read_write, 1));
  ASSERT_FALSE(add(open.near, Interest::read, 2));
  closed.near.reset();
  const std::error_code error = poller().remove(number, Interest::read_write);
  EXPECT_TRUE(!error || is_gone(error));
  write_text(open.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{2, Interest::read}}));
}

TEST_P(PollerRegistration, ModifyOfARecycledNumberTouchesNobodyElse) {
  if (!kernel_holds_the_set()) GTEST_SKIP() << "select only looks where it is asked to";
  FdPair first = make_socket_pair();
  const int number = first.near.get();
  ASSERT_FALSE(add(first.near, Interest::read, 1));
  first.near.reset();
  FdPair second = make_socket_pair();
  const UniqueFd same = move_to(std::move(second.near), number);
  EXPECT_TRUE(is_gone(poller().modify(number, Interest::read, Interest::write, token_number(1))));
  EXPECT_TRUE(wait().empty());  // the other file would be writable
}

// G9: a child may destroy the poller. The parent's set stays as it was.
TEST_P(PollerRegistration, DestroyedInAForkedChildItIsWholeInTheParent) {
  const FdPair pipe = make_pipe();
  ASSERT_FALSE(add(pipe.near, Interest::read, 1));
  EXPECT_EQ(in_child([&] { destroy_poller(); }), 0);
  write_text(pipe.far.get(), "x");
  EXPECT_EQ(wait(kPatience), (Batch{{1, Interest::read}}));
}

// Some systems do not pass the set on to a child, so its number may stand for any file there.
TEST_P(PollerRegistration, InAForkedChildItClosesNobodysNumber) {
  const int number = poller().backend_fd();
  EXPECT_EQ(in_child([&] {
              UniqueFd stranger;
              const bool inherited = number >= 0 && ::fcntl(number, F_GETFD) >= 0;
              if (number >= 0 && !inherited) stranger = move_to(make_pipe().near, number);
              auto expected = FdGuard::open_descriptors();
              if (inherited) expected.erase(number);
              destroy_poller();
              EXPECT_EQ(FdGuard::open_descriptors(), expected);
            }),
            0);
}

TEST_P(PollerRegistration, ChildExitIsReportedOnce) {
  const pid_t child = spawn_child([] { return 3; });
  const std::error_code error = poller().add_process(child, token_number(5));
  if (GetParam() == Backend::kqueue && !on_libkqueue(GetParam())) {
    ASSERT_FALSE(error) << error.message();
    EXPECT_EQ(wait(kPatience), (Batch{{5, Interest::read}}));
    EXPECT_TRUE(wait().empty());
  } else {
    EXPECT_EQ(error, std::errc::not_supported);
  }
  EXPECT_EQ(wait_for_child(child), 3) << "the child has to be left to be waited for";
}

TEST_P(PollerRegistration, RemovedChildIsNotReported) {
  const pid_t child = spawn_child([] { return 0; });
  if (!poller().add_process(child, token_number(5))) poller().remove_process(child);
  EXPECT_EQ(wait_for_child(child), 0);
  EXPECT_TRUE(wait().empty());
  poller().remove_process(child);  // removing an unknown process is no error
}

INSTANTIATE_TEST_SUITE_P(Backends, PollerRegistration, ::testing::ValuesIn(available_backends()),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace reactor
