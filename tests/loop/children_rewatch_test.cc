// SPDX-License-Identifier: MIT
// Children whose exit the kernel reports, after the kernel's set was rebuilt.
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <memory>

#include "reactor/base/error.h"
#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"
#include "reactor/poller/internal/poller.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"

namespace reactor {
namespace {

// A poller that pretends to watch processes. add_process() returns `answer`.
class ProcessPoller final : public Poller {
 public:
  explicit ProcessPoller(std::unique_ptr<Poller> poller) : poller_(std::move(poller)) {}

  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    return poller_->add(fd, interest, token, trigger);
  }
  std::error_code modify(int fd, Interest before, Interest after, Token token) override {
    return poller_->modify(fd, before, after, token);
  }
  std::error_code remove(int fd, Interest before) override { return poller_->remove(fd, before); }
  Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) override {
    return poller_->wait(events, timeout);
  }
  std::error_code add_process(pid_t, Token) override {
    ++asked;
    return answer == 0 ? std::error_code() : system_error(answer);
  }
  void remove_process(pid_t) noexcept override {}

  int answer = 0;
  int asked = 0;

 private:
  std::unique_ptr<Poller> poller_;
};

class ChildrenRewatch : public LoopTest {
 protected:
  ChildrenRewatch() {
    auto poller = std::make_unique<ProcessPoller>(get(make_poller(GetParam())));
    poller_ = poller.get();
    LoopOptions chosen = options();
    chosen.child_method = ChildMethod::process_filter;
    core_ = std::make_unique<Core>(std::move(chosen), GetParam(), std::move(poller));
    pid_ = spawn_sleeper();
    state_ = std::make_unique<ChildState>(
        *core_, pid_,
        [this](ExitStatus status) {
          ++calls_;
          status_ = status;
        },
        SourceLocation::current());
    EXPECT_FALSE(core_->children.add(*state_));
  }
  ~ChildrenRewatch() override {
    state_->stop();
    if (status_.signaled()) return;  // it was waited for
    ::kill(pid_, SIGKILL);
    wait_for_child(pid_);
  }
  void rewatch(int answer) {
    poller_->answer = answer;
    core_->children.rewatch();
    core_->children.dispatch();
    EXPECT_EQ(poller_->asked, 2);
  }

  ProcessPoller* poller_;
  std::unique_ptr<Core> core_;
  pid_t pid_;
  std::unique_ptr<ChildState> state_;
  int calls_ = 0;
  ExitStatus status_;
};

TEST_P(ChildrenRewatch, OneThatIsWatchedAgainGoesOn) {
  rewatch(0);
  EXPECT_EQ(calls_, 0);
  EXPECT_TRUE(state_->active());
}

TEST_P(ChildrenRewatch, OneThatHasEndedMeanwhileIsReported) {
  ::kill(pid_, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
  rewatch(ESRCH);
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(status_.signal(), SIGKILL);
}

// No other error means that the child has ended.
TEST_P(ChildrenRewatch, OneThatCanNotBeWatchedAgainIsReportedWithTheError) {
  rewatch(ENOMEM);
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(status_.error(), std::errc::not_enough_memory);
  EXPECT_FALSE(state_->active());
}

INSTANTIATE_TEST_SUITE_P(Backends, ChildrenRewatch, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
