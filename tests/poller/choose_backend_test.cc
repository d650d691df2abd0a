// SPDX-License-Identifier: MIT
#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>

#include "reactor/base/error.h"
#include "tests/poller/poller_test.h"

namespace reactor {
namespace {

constexpr const char* kVariable = "REACTOR_BACKEND";

// Unsets the variable, lets a test set it, and restores it at the end.
class ChooseBackend : public ::testing::Test {
 protected:
  ChooseBackend() {
    if (const char* const value = std::getenv(kVariable)) before_ = value;
    ::unsetenv(kVariable);
  }
  ~ChooseBackend() override {
    if (before_) {
      ::setenv(kVariable, before_->c_str(), 1);
    } else {
      ::unsetenv(kVariable);
    }
  }
  static void set(const char* value) { ::setenv(kVariable, value, 1); }

 private:
  std::optional<std::string> before_;
};

TEST_F(ChooseBackend, AutomaticWithoutTheVariable) {
  EXPECT_EQ(choose_backend(Backend::automatic).value(), Backend::automatic);
  set("");
  EXPECT_EQ(choose_backend(Backend::automatic).value(), Backend::automatic);
}

TEST_F(ChooseBackend, VariableNamesOne) {
  for (const Backend backend :
       {Backend::automatic, Backend::epoll, Backend::kqueue, Backend::select}) {
    set(std::string(to_string(backend)).c_str());
    EXPECT_EQ(choose_backend(Backend::automatic).value(), backend);
  }
}

TEST_F(ChooseBackend, OptionWinsOverVariable) {
  set("epoll");
  EXPECT_EQ(choose_backend(Backend::select).value(), Backend::select);
  set("nonsense");
  EXPECT_EQ(choose_backend(Backend::select).value(), Backend::select);
}

TEST_F(ChooseBackend, OtherWordsAreErrors) {
  for (const char* const word : {"poll", "EPOLL", " epoll", "epoll ", "1", "io_uring"}) {
    set(word);
    EXPECT_EQ(choose_backend(Backend::automatic).error(), Errc::unknown_backend) << word;
  }
}

TEST(AvailableBackends, BestFirstSelectLastNeverAutomatic) {
  const std::vector<Backend> backends = available_backends();
  ASSERT_FALSE(backends.empty());
  EXPECT_EQ(backends.back(), Backend::select);
  EXPECT_TRUE(std::is_sorted(backends.begin(), backends.end()));
  EXPECT_EQ(std::set<Backend>(backends.begin(), backends.end()).size(), backends.size());
  EXPECT_EQ(std::count(backends.begin(), backends.end(), Backend::automatic), 0);
}

TEST(MakePoller, AutomaticTakesTheFirst) {
  const FdGuard descriptors;
  Backend chosen = Backend::automatic;
  const Result<std::unique_ptr<Poller>> poller = make_poller(Backend::automatic, &chosen);
  ASSERT_TRUE(poller);
  EXPECT_EQ(chosen, available_backends().front());
}

TEST(MakePoller, NamedOneIsThatOrAnError) {
  const FdGuard descriptors;
  const std::vector<Backend> backends = available_backends();
  for (const Backend backend : {Backend::epoll, Backend::kqueue, Backend::select}) {
    Backend chosen = Backend::automatic;
    const Result<std::unique_ptr<Poller>> poller = make_poller(backend, &chosen);
    if (std::find(backends.begin(), backends.end(), backend) != backends.end()) {
      EXPECT_TRUE(poller);
      EXPECT_EQ(chosen, backend);
    } else {
      EXPECT_EQ(poller.error(), Errc::unknown_backend);
      EXPECT_EQ(chosen, Backend::automatic);
    }
  }
}

TEST(MakePoller, DescriptorsAreNotHandedToPrograms) {
  for (const Backend backend : available_backends()) {
    const Result<std::unique_ptr<Poller>> poller = make_poller(backend);
    ASSERT_TRUE(poller);
    const int fd = (*poller)->backend_fd();
    if (fd < 0) continue;
    EXPECT_NE(::fcntl(fd, F_GETFD) & FD_CLOEXEC, 0) << to_string(backend);
  }
}

TEST(TokenTest, PacksBothHalves) {
  for (const Token token : {Token{}, Token{1, 0}, Token{0, 1}, Token{0xffffffff, 0x80000001}}) {
    EXPECT_EQ(Token::unpack(token.pack()), token);
  }
  EXPECT_NE((Token{1, 2}).pack(), (Token{2, 1}).pack());
}

}  // namespace
}  // namespace reactor
