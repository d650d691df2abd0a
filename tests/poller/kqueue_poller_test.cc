// SPDX-License-Identifier: MIT
// The kqueue backend against a scripted kernel, which returns errors and answers that no real
// descriptor gives on demand.
#if __has_include(<sys/event.h>)

#include "reactor/poller/internal/kqueue_calls.h"

#include <sys/types.h>

#include <sys/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <vector>

#include "reactor/base/error.h"
#include "tests/poller/poller_test.h"

namespace reactor {
namespace {

struct Change {
  std::uintptr_t ident;
  int filter;
  int flags;
  friend bool operator==(const Change&, const Change&) = default;
};

// The calls of kevent() so far, and the answers that it gives.
struct Script {
  std::vector<Change> changes;
  // Returns an errno value for each change.
  std::function<int(const Change&)> answer = [](const Change&) { return 0; };
  std::deque<std::vector<struct kevent>> batches;
  int wait_error = 0;
  int queues = 0;  // number of kqueues made
  int queue_error = 0;
  int room = 0;  // of the event list in the last wait
  bool forever = false;
  timespec timeout{};
};

Script* g_script = nullptr;

int give(int error) {
  errno = error;
  return error == 0 ? 0 : -1;
}

int scripted_wait(struct kevent* events, int room, const timespec* timeout) {
  g_script->room = room;
  g_script->forever = timeout == nullptr;
  if (timeout != nullptr) g_script->timeout = *timeout;
  if (g_script->wait_error != 0) return give(g_script->wait_error);
  if (g_script->batches.empty()) return 0;
  const std::vector<struct kevent> batch = g_script->batches.front();
  g_script->batches.pop_front();
  std::copy(batch.begin(), batch.end(), events);
  return static_cast<int>(batch.size());
}

int scripted_kevent(int, const struct kevent* changes, int change_count, struct kevent* events,
                    int room, const timespec* timeout) {
  if (change_count == 0) return scripted_wait(events, room, timeout);
  const Change change{changes->ident, changes->filter, changes->flags};
  g_script->changes.push_back(change);
  EXPECT_EQ(change_count, 1);
  return give(g_script->answer(change));
}

int scripted_queue(UniqueFd queue) {
  ++g_script->queues;
  return g_script->queue_error != 0 ? give(g_script->queue_error) : queue.release();
}
int kernel_queue() { return scripted_queue(UniqueFd(::dup(0))); }
int libkqueue_queue() { return scripted_queue(make_pipe().far); }

class KqueuePollerTest : public ::testing::Test {
 protected:
  explicit KqueuePollerTest(int (*queue)() = &kernel_queue) {
    g_script = &script_;
    poller_ = make_kqueue_poller(KqueueCalls{queue, &scripted_kevent}).value();
    pair_ = make_socket_pair();
  }

  std::error_code add(Interest interest, std::uint32_t number = 1) {
    return poller_->add(fd(), interest, token_number(number));
  }
  [[nodiscard]] int fd() const { return pair_.near.get(); }
  [[nodiscard]] Change change(int filter, int flags) const {
    return {static_cast<std::uintptr_t>(fd()), filter, flags};
  }
  struct kevent event(std::uint32_t number, int filter, int flags = 0, unsigned fflags = 0) {
    struct kevent result {};
    result.ident = static_cast<std::uintptr_t>(fd());
    result.filter = static_cast<decltype(result.filter)>(filter);
    result.flags = static_cast<decltype(result.flags)>(flags);
    result.fflags = fflags;
    result.udata = reinterpret_cast<decltype(result.udata)>(token_number(number).pack());
    return result;
  }
  Batch wait() { return wait_on(*poller_, kAtOnce); }

  FdGuard descriptors_;
  Script script_;
  FdPair pair_;
  std::unique_ptr<Poller> poller_;
};

TEST_F(KqueuePollerTest, NoQueueIsAnError) {
  const KqueueCalls calls{[] { return give(EMFILE); }, &scripted_kevent};
  EXPECT_EQ(make_kqueue_poller(calls).error(), std::errc::too_many_files_open);
}

TEST_F(KqueuePollerTest, OneCallAFilter) {
  ASSERT_FALSE(add(Interest::read));
  EXPECT_EQ(script_.changes, (std::vector{change(EVFILT_READ, EV_ADD)}));
}

TEST_F(KqueuePollerTest, AddIsAllOrNothing) {
  script_.answer = [](const Change& one) {
    return one.filter == EVFILT_WRITE && one.flags == EV_ADD ? ENOMEM : 0;
  };
  EXPECT_EQ(add(Interest::read_write), std::errc::not_enough_memory);
  EXPECT_EQ(script_.changes.back(), change(EVFILT_READ, EV_DELETE));
  EXPECT_EQ(poller_->remove(fd(), Interest::read_write), std::errc::no_such_file_or_directory);
}

TEST_F(KqueuePollerTest, FailedModifyLeavesWhatWas) {
  ASSERT_FALSE(add(Interest::read));
  script_.answer = [](const Change& one) { return one.flags == EV_ADD ? ENOMEM : 0; };
  EXPECT_EQ(poller_->modify(fd(), Interest::read, Interest::write, token_number(1)),
            std::errc::not_enough_memory);
  script_.answer = [](const Change&) { return 0; };
  EXPECT_FALSE(poller_->modify(fd(), Interest::read, Interest::read, token_number(1)));
  script_.batches = {{event(1, EVFILT_READ)}};
  EXPECT_EQ(wait(), (Batch{{1, Interest::read}}));
}

// Only ENOENT and EBADF say that the registration is gone.
TEST_F(KqueuePollerTest, OtherErrorsOfAQuestionLeaveWhatWas) {
  ASSERT_FALSE(add(Interest::read));
  script_.answer = [](const Change& one) { return one.flags == EV_ENABLE ? ENOMEM : 0; };
  EXPECT_EQ(poller_->modify(fd(), Interest::read, Interest::read, token_number(1)),
            std::errc::not_enough_memory);
  EXPECT_EQ(poller_->modify(fd(), Interest::read, Interest::read_write, token_number(1)),
            std::errc::not_enough_memory);
  EXPECT_EQ(add(Interest::read, 2), std::errc::file_exists);
  for (const Change& one : script_.changes) EXPECT_NE(one.flags, EV_DELETE);
  script_.answer = [](const Change&) { return 0; };
  script_.batches = {{event(1, EVFILT_READ)}};
  EXPECT_EQ(wait(), (Batch{{1, Interest::read}}));
  EXPECT_FALSE(poller_->modify(fd(), Interest::read, Interest::read_write, token_number(1)));
}

// EV_ADD would register a descriptor that the poller does not know.
TEST_F(KqueuePollerTest, ModifyAsksBeforeItAdds) {
  ASSERT_FALSE(add(Interest::read));
  script_.changes.clear();
  script_.answer = [](const Change& one) { return one.flags == EV_ENABLE ? ENOENT : 0; };
  EXPECT_EQ(poller_->modify(fd(), Interest::read, Interest::read_write, token_number(1)),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(script_.changes.front(), change(EVFILT_READ, EV_ENABLE));
  for (const Change& one : script_.changes) EXPECT_NE(one.flags, EV_ADD);
}

// A dead entry of one filter does not hide the other filter's entry.
TEST_F(KqueuePollerTest, RemoveTriesBothFilters) {
  ASSERT_FALSE(add(Interest::read_write));
  script_.changes.clear();
  script_.answer = [](const Change& one) { return one.filter == EVFILT_READ ? ENOENT : 0; };
  EXPECT_EQ(poller_->remove(fd(), Interest::read_write), std::errc::no_such_file_or_directory);
  EXPECT_EQ(script_.changes,
            (std::vector{change(EVFILT_READ, EV_DELETE), change(EVFILT_WRITE, EV_DELETE)}));
}

TEST_F(KqueuePollerTest, InterruptedWaitHasNoEvents) {
  script_.wait_error = EINTR;
  EXPECT_TRUE(wait().empty());
}

TEST_F(KqueuePollerTest, OtherErrorsOfTheWaitAreGiven) {
  std::array<PollEvent, 16> events;
  for (const int error : {EBADF, ENOMEM, EINVAL}) {
    script_.wait_error = error;
    EXPECT_EQ(poller_->wait(events, kAtOnce).error(), system_error(error));
  }
}

TEST_F(KqueuePollerTest, FiltersOfOneDescriptorAreMergedAcrossOthers) {
  ASSERT_FALSE(add(Interest::read_write, 1));
  const FdPair other = make_socket_pair();
  ASSERT_FALSE(poller_->add(other.near.get(), Interest::read_write, token_number(2)));
  struct kevent of_other = event(2, EVFILT_READ);
  of_other.ident = static_cast<std::uintptr_t>(other.near.get());
  struct kevent written = of_other;
  written.filter = EVFILT_WRITE;
  script_.batches = {{event(1, EVFILT_WRITE), of_other, event(1, EVFILT_READ), written},
                     {of_other, event(1, EVFILT_READ)}};
  EXPECT_EQ(wait(), (Batch{{1, Interest::read_write}, {2, Interest::read_write}}));
  EXPECT_EQ(wait(), (Batch{{1, Interest::read}, {2, Interest::read}}));
}

// E3 and G5: the end of one direction.
TEST_F(KqueuePollerTest, EndsOfDirections) {
  ASSERT_FALSE(add(Interest::read_write));
  struct kevent with_data = event(1, EVFILT_READ, EV_EOF);
  with_data.data = 5;
  script_.batches = {{with_data},
                     {event(1, EVFILT_READ, EV_EOF)},
                     {event(1, EVFILT_WRITE, EV_EOF)},
                     {event(1, EVFILT_READ, EV_EOF, ECONNRESET)},
                     {event(1, EVFILT_WRITE, EV_EOF, ECONNRESET)},
                     {event(1, EVFILT_READ, EV_ERROR)}};
  for (const Interest expected :
       {Interest::read, Interest::read, Interest::write, Interest::read_write, Interest::read_write,
        Interest::read_write}) {
    EXPECT_EQ(wait(), (Batch{{1, expected}}));
  }
}

TEST_F(KqueuePollerTest, ErrorsTellOnlyWhatWasAsked) {
  ASSERT_FALSE(add(Interest::read));
  script_.batches = {{event(1, EVFILT_READ, EV_EOF, ECONNRESET)}};
  EXPECT_EQ(wait(), (Batch{{1, Interest::read}}));
}

// The event of a registration that was left behind keeps its old token. The loop sees that and
// rebuilds the set.
TEST_F(KqueuePollerTest, EventOfAnOldTokenKeepsIt) {
  ASSERT_FALSE(add(Interest::read_write, 2));
  script_.batches = {{event(1, EVFILT_READ), event(2, EVFILT_READ), event(2, EVFILT_WRITE)}};
  const Batch batch = wait();
  EXPECT_EQ(batch.size(), 2u);
  EXPECT_TRUE(batch.contains(1));
  EXPECT_EQ(batch.at(2), Interest::read_write);
}

// The pid equals the number of a watched descriptor.
TEST_F(KqueuePollerTest, ProcessIsNotADescriptor) {
  ASSERT_FALSE(add(Interest::read_write, 1));
  ASSERT_FALSE(poller_->add_process(fd(), token_number(2)));
  script_.batches = {{event(1, EVFILT_WRITE), event(2, EVFILT_PROC), event(1, EVFILT_READ)}};
  EXPECT_EQ(wait(), (Batch{{1, Interest::read_write}, {2, Interest::read}}));
  poller_->remove_process(fd());
  EXPECT_EQ(script_.changes.back(), change(EVFILT_PROC, EV_DELETE));
  EXPECT_FALSE(poller_->modify(fd(), Interest::read_write, Interest::read_write, token_number(1)));
}

TEST_F(KqueuePollerTest, ErrorsOfProcesses) {
  script_.answer = [](const Change&) { return ESRCH; };
  EXPECT_EQ(poller_->add_process(1, token_number(1)), std::errc::no_such_process);
  script_.answer = [](const Change&) { return EINVAL; };
  EXPECT_EQ(poller_->add_process(1, token_number(1)), std::errc::not_supported);
}

// Tests how the backend treats libkqueue, which it recognises by the kqueue's descriptor.
class LibkqueuePollerTest : public KqueuePollerTest {
 protected:
  LibkqueuePollerTest() : KqueuePollerTest(&libkqueue_queue) {}

  // Gives the number of fd() to another file.
  void reopen() {
    const int number = fd();
    pair_ = {};
    FdPair other = make_socket_pair();
    pair_ = {move_to(std::move(other.near), number), std::move(other.far)};
    script_.changes.clear();
  }
  [[nodiscard]] bool deleted_anything() const {
    return std::any_of(script_.changes.begin(), script_.changes.end(),
                       [](const Change& one) { return (one.flags & EV_DELETE) != 0; });
  }
};

TEST_F(LibkqueuePollerTest, TellsWhatItCanNot) {
  EXPECT_EQ(poller_->backend_fd(), -1);
  EXPECT_FALSE(poller_->knows_files());
}

// Deleting the knote of a closed number would free memory that libkqueue's epoll set still points
// to.
TEST_F(LibkqueuePollerTest, ANumberThatWasClosedIsLeftBehindWithItsQueue) {
  const FdPair other = make_socket_pair();
  ASSERT_FALSE(add(Interest::read_write));
  ASSERT_FALSE(poller_->add(other.near.get(), Interest::write, token_number(2)));
  const int number = fd();
  pair_ = {};
  script_.changes.clear();
  EXPECT_EQ(poller_->remove(number, Interest::read), std::errc::no_such_file_or_directory);
  EXPECT_TRUE(script_.changes.empty());
  EXPECT_TRUE(wait().empty());
  const auto ident = static_cast<std::uintptr_t>(other.near.get());
  EXPECT_EQ(script_.queues, 2);
  EXPECT_EQ(script_.changes, (std::vector<Change>{{ident, EVFILT_WRITE, EV_ADD}}));
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(script_.queues, 2) << "once is enough";
}

TEST_F(LibkqueuePollerTest, AReusedNumberIsAddedToANewQueue) {
  ASSERT_FALSE(add(Interest::read));
  reopen();
  ASSERT_FALSE(add(Interest::write, 2));
  EXPECT_EQ(script_.queues, 2);
  EXPECT_EQ(script_.changes, (std::vector<Change>{change(EVFILT_WRITE, EV_ADD)}));
}

TEST_F(LibkqueuePollerTest, AReusedNumberIsNotModified) {
  for (const Interest after : {Interest::read, Interest::write, Interest::read_write}) {
    ASSERT_FALSE(add(Interest::read));
    reopen();
    EXPECT_EQ(poller_->modify(fd(), Interest::read, after, token_number(1)),
              std::errc::no_such_file_or_directory);
    EXPECT_FALSE(deleted_anything());
    for (const Change& one : script_.changes) EXPECT_EQ(one.flags, EV_ENABLE);
  }
}

// Two files with the same inode number look like one file. The failed delete shows that they are
// two.
TEST_F(LibkqueuePollerTest, AfterAFailedDeleteTheQueueIsNotUsedAgain) {
  ASSERT_FALSE(add(Interest::read_write));
  script_.changes.clear();
  script_.answer = [](const Change&) { return ENOENT; };
  EXPECT_EQ(poller_->remove(fd(), Interest::read_write), std::errc::no_such_file_or_directory);
  EXPECT_EQ(script_.changes, (std::vector{change(EVFILT_READ, EV_DELETE)}));
  EXPECT_TRUE(wait().empty());
  EXPECT_EQ(script_.queues, 2);
}

TEST_F(LibkqueuePollerTest, WithoutADescriptorForANewQueueTheOldOneGoesOn) {
  ASSERT_FALSE(add(Interest::read));
  const int number = fd();
  pair_ = make_socket_pair();
  EXPECT_TRUE(is_gone(poller_->remove(number, Interest::read)));
  script_.queue_error = EMFILE;
  ASSERT_FALSE(script_.forever);
  script_.batches = {{event(1, EVFILT_READ)}};
  EXPECT_EQ(wait(), (Batch{{1, Interest::read_write}})) << "a leftover";
  EXPECT_EQ(add(Interest::read), std::errc::too_many_files_open);
  script_.queue_error = 0;
  EXPECT_FALSE(add(Interest::read));
}

// libkqueue returns at most 512 events, however many are ready.
TEST_F(LibkqueuePollerTest, AFullRoundIsFollowedByAnother) {
  std::vector<struct kevent> first, second;
  for (std::uint32_t number = 0; number < 512; ++number) {
    first.push_back(event(number, EVFILT_READ));
  }
  for (std::uint32_t number = 512; number < 600; ++number) {
    second.push_back(event(number, EVFILT_READ));
  }
  script_.batches = {first, second};
  EXPECT_EQ(wait_on(*poller_, kForever, 1024).size(), 600u);
  EXPECT_FALSE(script_.forever) << "the second round does not wait";
}

TEST_F(LibkqueuePollerTest, RoundsEndIfTheyBringNothingNew) {
  ASSERT_FALSE(add(Interest::read));
  for (const std::size_t size : {512u, 511u, 510u}) {
    script_.batches.push_back(std::vector(size, event(1, EVFILT_READ)));
  }
  EXPECT_EQ(wait_on(*poller_, kAtOnce, 1024), (Batch{{1, Interest::read}}));
  EXPECT_EQ(script_.batches.size(), 1u);
}

TEST_F(LibkqueuePollerTest, ProcessesAreLeftToPidfds) {
  EXPECT_EQ(poller_->add_process(1, token_number(1)), std::errc::not_supported);
  EXPECT_TRUE(script_.changes.empty());
}

TEST_F(LibkqueuePollerTest, WhatItCanNotWatchIsNotPermitted) {
  script_.answer = [](const Change&) { return EFAULT; };
  EXPECT_EQ(add(Interest::read), std::errc::operation_not_permitted);
}

TEST_F(KqueuePollerTest, TimeoutsReachTheKernel) {
  std::array<PollEvent, 16> events;
  static_cast<void>(poller_->wait(events, Duration(1'500'000'001)));
  EXPECT_EQ(script_.timeout.tv_sec, 1);
  EXPECT_EQ(script_.timeout.tv_nsec, 500'000'001);
  static_cast<void>(poller_->wait(events, Duration(-5)));
  EXPECT_EQ(script_.timeout.tv_sec, 0);
  EXPECT_EQ(script_.timeout.tv_nsec, 0);
  EXPECT_FALSE(script_.forever);
  static_cast<void>(poller_->wait(events, kForever - Duration(1)));
  EXPECT_FALSE(script_.forever);
  EXPECT_LE(script_.timeout.tv_sec, 100'000'000);  // the limit of itimerfix() in some kernels
  static_cast<void>(poller_->wait(events, kForever));
  EXPECT_TRUE(script_.forever);
}

TEST_F(KqueuePollerTest, AsksForNoMoreThanItCanGive) {
  for (const std::size_t room : {16u, 64u, 1024u, 32u}) {
    wait_on(*poller_, kAtOnce, room);
    EXPECT_EQ(script_.room, static_cast<int>(room));
  }
}

// Some counts are too large for an int.
TEST(SaturatedCount, StaysInTheRangeOfInt) {
  EXPECT_EQ(saturated_count(0), 0);
  EXPECT_EQ(saturated_count(4096), 4096);
  EXPECT_EQ(saturated_count(std::size_t{INT_MAX}), INT_MAX);
  EXPECT_EQ(saturated_count(std::size_t{INT_MAX} + 1), INT_MAX);
  EXPECT_EQ(saturated_count(SIZE_MAX), INT_MAX);
}

}  // namespace
}  // namespace reactor

#endif
