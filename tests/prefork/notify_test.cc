// SPDX-License-Identifier: MIT
#include "reactor/prefork/notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "reactor/base/error.h"
#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"

namespace reactor::prefork {
namespace {

constexpr std::array<const char*, 3> kVariables = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
                                                   "WATCHDOG_PID"};

// A service manager: a datagram socket, and the environment variables that name it.
class NotifyTest : public ::testing::TestWithParam<bool> {
 protected:
  NotifyTest() {
    unset();
    const std::string name = "reactor-notify-test." + std::to_string(::getpid());
    const std::string path = ::testing::TempDir() + name;
    abstract_ = GetParam();
    path_ = abstract_ ? "@" + name : path;
    const Address address =
        abstract_ ? Address::unix_abstract(name).value() : Address::unix_path(path).value();
    manager_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(manager_.get(), address.data(), address.size()), 0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
  }
  ~NotifyTest() override {
    unset();
    if (!abstract_) ::unlink(path_.c_str());
  }

  // Returns the next message, or "" if there is none.
  [[nodiscard]] std::string message() const {
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(manager_.get(), buffer.data(), buffer.size());
    return count < 0 ? "" : std::string(buffer.data(), static_cast<std::size_t>(count));
  }

  // Fills the manager's queue, as other services may.
  void fill() const {
    const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const Address address = abstract_ ? Address::unix_abstract(path_.substr(1)).value()
                                      : Address::unix_path(path_).value();
    const auto send = [&] {
      return ::sendto(other.get(), "other", 5, 0, address.data(), address.size()) == 5;
    };
    int sent = 0;
    while (send()) ASSERT_LT(++sent, 100'000);
  }
  // Reads the messages of others, and one that begins with `last` if that is not empty.
  void empty(const std::string& last = "") const {
    std::string text = last.empty() ? "" : "other";
    if (last.empty()) {
      std::array<char, 64> buffer;
      while (::recv(manager_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) == 5) {
      }
      return;
    }
    while (text == "other") text = message();
    EXPECT_EQ(text.substr(0, last.size()), last);
  }
  static std::string status_of(int number) { return std::to_string(number); }

  static void unset() {
    for (const char* name : kVariables) ::unsetenv(name);
  }

 private:
  FdGuard descriptors_;

 protected:
  bool abstract_ = false;
  std::string path_;
  UniqueFd manager_;
};

TEST_P(NotifyTest, EachMessageIsOneDatagram) {
  Notifier notifier;
  ASSERT_TRUE(notifier);
  notifier.ready();
  EXPECT_EQ(message(), "READY=1");
  notifier.stopping();
  EXPECT_EQ(message(), "STOPPING=1");
  notifier.watchdog();
  EXPECT_EQ(message(), "WATCHDOG=1");
  EXPECT_TRUE(notifier.main_pid(4711));
  EXPECT_EQ(message(), "MAINPID=4711\nREADY=1");
  notifier.ready("4 workers\nMAINPID=1");
  EXPECT_EQ(message(), "READY=1\nSTATUS=4 workers\\nMAINPID=1");
  notifier.stopping("stopping", std::chrono::milliseconds(1500));
  EXPECT_EQ(message(), "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=1500000");
  notifier.status("");
  EXPECT_EQ(message(), "STATUS=");
  notifier.status("4 workers\nREADY=1");
  EXPECT_EQ(message(), "STATUS=4 workers\\nREADY=1");
  EXPECT_EQ(message(), "");
}

TEST_P(NotifyTest, AReloadTellsTheTime) {
  const auto micros = [](TimePoint time) {
    return time.time_since_epoch() / std::chrono::microseconds(1);
  };
  const auto before = micros(monotonic_now());
  Notifier().reloading();
  const auto after = micros(monotonic_now());
  const std::string text = message();
  const std::string begin = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_EQ(text.substr(0, begin.size()), begin);
  const auto time = std::stoll(text.substr(begin.size()));
  EXPECT_LE(before, time);
  EXPECT_LE(time, after);
}

TEST_P(NotifyTest, TheWatchdogsInterval) {
  const auto interval = [](const char* time, const std::string& pid) {
    unset();
    ::setenv("NOTIFY_SOCKET", "@none", 1);
    if (time != nullptr) ::setenv("WATCHDOG_USEC", time, 1);
    if (!pid.empty()) ::setenv("WATCHDOG_PID", pid.c_str(), 1);
    return Notifier().watchdog_interval();
  };
  const std::string own = std::to_string(::getpid());
  EXPECT_EQ(interval("1500000", own), std::chrono::milliseconds(1500));
  EXPECT_EQ(interval("1500000", ""), std::chrono::milliseconds(1500));
  EXPECT_EQ(interval("1500000", "1"), Duration::zero());
  EXPECT_EQ(interval("1500000", own + "x"), Duration::zero());
  EXPECT_EQ(interval(nullptr, own), Duration::zero());
  for (const char* bad : {"", "0", "-1", "1s", "9223372036854775807", "99999999999999999999"}) {
    EXPECT_EQ(interval(bad, own), Duration::zero()) << bad;
  }
}

TEST_P(NotifyTest, WithoutAManagerNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  ::setenv("WATCHDOG_USEC", "1000000", 1);
  LogCapture log;
  Notifier notifier;
  EXPECT_FALSE(notifier);
  EXPECT_EQ(notifier.watchdog_interval(), Duration::zero());
  notifier.ready();
  EXPECT_EQ(message(), "");
}

TEST_P(NotifyTest, AManagerThatIsGoneIsLogged) {
  Notifier notifier;
  manager_.reset();
  LogCapture log;
  notifier.ready();
  EXPECT_TRUE(log.contains("can't tell the service manager 'READY=1': Connection refused"));
}

// Of each kind the latest message waits, and the order stays.
TEST_P(NotifyTest, AManagerThatReadsLateHearsAll) {
  Notifier notifier;
  LogCapture log;
  fill();
  const TimePoint start = monotonic_now();
  for (const char* status : {"old", "new"}) {
    notifier.ready(status);
    notifier.reloading();
    notifier.watchdog();
    notifier.status(status);
  }
  notifier.stopping(status_of(1'000));
  for (int i = 0; i < 100; ++i) notifier.status(status_of(i));
  EXPECT_LT(monotonic_now() - start, std::chrono::milliseconds(100)) << "no call waits";
  EXPECT_TRUE(notifier.waits());
  EXPECT_EQ(log.lines().size(), 1U) << "one line for all of them";
  EXPECT_TRUE(log.contains("can't tell the service manager 'READY=1': "));
  EXPECT_TRUE(log.contains("; trying again"));
  empty();
  notifier.flush();
  EXPECT_FALSE(notifier.waits());
  EXPECT_EQ(message(), "READY=1\nSTATUS=new");
  EXPECT_EQ(message().substr(0, 11), "RELOADING=1");
  EXPECT_EQ(message(), "WATCHDOG=1");
  EXPECT_EQ(message(), "STOPPING=1\nSTATUS=1000");
  EXPECT_EQ(message(), "STATUS=99");
  EXPECT_EQ(message(), "");
}

TEST_P(NotifyTest, ALaterMessageDoesNotOvertakeOneThatWaits) {
  Notifier notifier;
  LogCapture log;
  fill();
  notifier.reloading();
  EXPECT_NE(message(), "");  // there is room for one more now
  notifier.ready();
  EXPECT_TRUE(notifier.waits());
  empty("RELOADING=1");
  notifier.flush();
  EXPECT_EQ(message(), "READY=1");
}

TEST_P(NotifyTest, ASuccessorIsToldOnlyAfterAllThatWaits) {
  Notifier notifier;
  LogCapture log;
  fill();
  notifier.reloading();
  EXPECT_FALSE(notifier.main_pid(4711));
  EXPECT_NE(message(), "");
  EXPECT_FALSE(notifier.main_pid(4711)) << "the other message took the room";
  empty("RELOADING=1");
  EXPECT_EQ(message(), "") << "a message that was not taken is not sent later";
  EXPECT_TRUE(notifier.main_pid(4712));
  EXPECT_EQ(message(), "MAINPID=4712\nREADY=1");
}

TEST_P(NotifyTest, AManagerThatIsGoneIsNotWaitedFor) {
  Notifier notifier;
  LogCapture log;
  fill();
  notifier.ready();
  EXPECT_TRUE(notifier.waits());
  manager_.reset();
  notifier.flush();
  EXPECT_FALSE(notifier.waits());
  EXPECT_TRUE(notifier.main_pid(4711)) << "nobody needs to know";
}

TEST_P(NotifyTest, OtherKindsOfSocketsAreNotSupported) {
  for (const std::string& name : {std::string("vsock:2:1234"), "/" + std::string(200, 'x')}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    LogCapture log;
    EXPECT_FALSE(Notifier());
    EXPECT_TRUE(log.contains("NOTIFY_SOCKET " + name.substr(0, 4)));
  }
}

#if defined(__linux__)
INSTANTIATE_TEST_SUITE_P(Sockets, NotifyTest, ::testing::Values(false, true));
#else
INSTANTIATE_TEST_SUITE_P(Sockets, NotifyTest, ::testing::Values(false));
#endif

}  // namespace
}  // namespace reactor::prefork
