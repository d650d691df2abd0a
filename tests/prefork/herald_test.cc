// SPDX-License-Identifier: MIT
// The datagrams that the service manager gets, event by event.
#include "reactor/prefork/internal/herald.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "tests/prefork/crew_kit.h"

namespace reactor::prefork {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Datagrams = std::vector<std::string>;

class HeraldTest : public CrewTest {
 protected:
  HeraldTest() {
    path_ = ::testing::TempDir() + "reactor-herald-test." + std::to_string(::getpid());
    const Address address = Address::unix_path(path_).value();
    manager_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(manager_.get(), address.data(), address.size()), 0);
    ::setenv("NOTIFY_SOCKET", path_.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "9000000", 1);
    ::unsetenv("WATCHDOG_PID");
  }
  ~HeraldTest() override {
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    ::unlink(path_.c_str());
  }

  // Starts two workers, and checks that the service manager knows that they are ready.
  void serve() {
    herald_.emplace(clock_, false);
    make_ready(plan(2));
    herald_->begin(*crew_);
    EXPECT_EQ(heard(), (Datagrams{"READY=1\nSTATUS=2 workers", "WATCHDOG=1"}));
  }
  void start_and_announce(pid_t pid) {
    ready(pid);
    turn();
  }
  // Returns the datagrams since the last call. The time in RELOADING=1 is left out.
  Datagrams heard() {
    herald_->look(*crew_);
    Datagrams all;
    std::array<char, 4096> buffer;
    for (;;) {
      const ssize_t count = ::read(manager_.get(), buffer.data(), buffer.size());
      if (count < 0) return all;
      std::string text(buffer.data(), static_cast<std::size_t>(count));
      const std::string time = "\nMONOTONIC_USEC=";
      if (const auto at = text.find(time); at != std::string::npos) text.resize(at + time.size());
      all.push_back(text);
    }
  }

  // Fills the manager's queue with messages of another service.
  void fill() {
    const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const Address address = Address::unix_path(path_).value();
    filled_ = 0;
    const auto send = [&] {
      return ::sendto(other.get(), "x", 1, 0, address.data(), address.size()) == 1;
    };
    while (send()) ASSERT_LT(++filled_, 100'000);
  }
  void empty() {
    char byte = 0;
    for (; filled_ > 0; --filled_) ASSERT_EQ(::read(manager_.get(), &byte, 1), 1);
  }

  int filled_ = 0;
  static constexpr const char* kReloading = "RELOADING=1\nMONOTONIC_USEC=";
  std::string path_;
  UniqueFd manager_;
  std::optional<Herald> herald_;
};

TEST_F(HeraldTest, ReadyIsSaidOnce) {
  serve();
  EXPECT_EQ(heard(), Datagrams{});
}

TEST_F(HeraldTest, EachWorkerThatIsMissingIsInTheStatus) {
  serve();
  die(kFirst);
  turn();
  EXPECT_EQ(heard(), Datagrams{"STATUS=1 of 2 workers serve"});
  start_and_announce(kFirst + 2);
  EXPECT_EQ(heard(), Datagrams{"STATUS=2 workers"});
}

TEST_F(HeraldTest, MoreAndFewerWorkers) {
  serve();
  crew_->add_slot();
  crew_->resize(1);
  turn();
  EXPECT_EQ(heard(), Datagrams{"STATUS=2 of 3 workers serve"});
  start_and_announce(kFirst + 2);
  EXPECT_EQ(heard(), Datagrams{"STATUS=3 workers"});
  crew_->resize(-2);
  turn();
  EXPECT_EQ(heard(), Datagrams{"STATUS=1 worker"});
}

TEST_F(HeraldTest, AReload) {
  serve();
  herald_->reload_begins();
  crew_->reload({plan(2), {}});
  turn();
  EXPECT_EQ(heard(), Datagrams{kReloading});
  start_and_announce(kFirst + 2);
  EXPECT_EQ(heard(), Datagrams{});
  start_and_announce(kFirst + 3);
  EXPECT_EQ(heard(), Datagrams{"READY=1\nSTATUS=2 workers"});
}

TEST_F(HeraldTest, AReloadThatFails) {
  serve();
  herald_->reload_begins();
  crew_->reload({plan(2), {}});
  turn();
  die(kFirst + 2);
  turn();
  EXPECT_EQ(heard(), (Datagrams{kReloading,
                                "READY=1\nSTATUS=2 workers; the last reload failed: its "
                                "workers did not become ready"}));
  herald_->reload_begins();
  crew_->reload({plan(2), {}});
  turn();
  start_and_announce(kFirst + 3);
  start_and_announce(kFirst + 4);
  EXPECT_EQ(heard(), (Datagrams{kReloading, "READY=1\nSTATUS=2 workers"}));
}

TEST_F(HeraldTest, AReloadThatIsRefused) {
  serve();
  herald_->reload_refused(*crew_, "a reason");
  EXPECT_EQ(
      heard(),
      (Datagrams{kReloading, "READY=1\nSTATUS=2 workers; the last reload was refused: a reason"}));
}

TEST_F(HeraldTest, OneThatIsRefusedAmidAnotherIsReadyWithThat) {
  serve();
  herald_->reload_begins();
  crew_->reload({plan(2), {}});
  turn();
  herald_->reload_refused(*crew_, "a reason");
  EXPECT_EQ(heard(), (Datagrams{kReloading, kReloading,
                                "STATUS=2 workers; the last reload was refused: a reason"}));
  start_and_announce(kFirst + 2);
  start_and_announce(kFirst + 3);
  EXPECT_EQ(heard(), Datagrams{"READY=1\nSTATUS=2 workers; the last reload was refused: a reason"});
}

TEST_F(HeraldTest, AfterAnUpgradeTheOldProgramIsSilent) {
  serve();
  herald_->note("an upgrade starts as process 4711");
  EXPECT_EQ(heard(), Datagrams{"STATUS=2 workers; an upgrade starts as process 4711"});
  EXPECT_TRUE(herald_->change_main_pid(4711));
  EXPECT_EQ(heard(), Datagrams{"MAINPID=4711\nREADY=1"});
  pass(seconds(20), {kFirst, kFirst + 1});
  die(kFirst);
  turn();
  herald_->reload_begins();
  herald_->stop("stopping", seconds(1));
  EXPECT_EQ(heard(), Datagrams{});
  EXPECT_EQ(herald_->next_turn(), TimePoint::max());
}

// Nothing is lost while the manager's queue is full, and the master goes on.
TEST_F(HeraldTest, AManagerThatReadsLateHearsAllInOrder) {
  serve();
  fill();
  herald_->reload_refused(*crew_, "a reason");
  herald_->look(*crew_);
  EXPECT_LE(herald_->next_turn(), clock_.now() + Notifier::kRetryDelay);
  EXPECT_FALSE(herald_->change_main_pid(4711)) << "nor is the new program announced before";
  empty();
  EXPECT_EQ(
      heard(),
      (Datagrams{kReloading, "READY=1\nSTATUS=2 workers; the last reload was refused: a reason"}));
  EXPECT_GT(herald_->next_turn(), clock_.now() + Notifier::kRetryDelay);
  fill();
  herald_->stop("stopping", seconds(1));
  empty();
  EXPECT_EQ(heard(), Datagrams{"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=1000000"});
}

TEST_F(HeraldTest, TheProgramSpeaksOnWhileItsSuccessorCanNotBeAnnounced) {
  serve();
  fill();
  EXPECT_FALSE(herald_->change_main_pid(4711));
  pass(seconds(3), {kFirst, kFirst + 1});
  herald_->look(*crew_);
  empty();
  EXPECT_EQ(heard(), Datagrams{"WATCHDOG=1"});
  EXPECT_TRUE(herald_->change_main_pid(4711));
  EXPECT_EQ(heard(), Datagrams{"MAINPID=4711\nREADY=1"});
}

TEST_F(HeraldTest, TheNewProgramIsSilentUntilItIsTheMainOne) {
  held_ = true;
  herald_.emplace(clock_, true);
  make_ready(plan(2));
  herald_->reload_refused(*crew_, "a reason");
  EXPECT_EQ(heard(), Datagrams{});
  crew_->release();
  herald_->begin(*crew_);
  EXPECT_EQ(heard(), (Datagrams{"READY=1\nSTATUS=2 workers", "WATCHDOG=1"}));
}

TEST_F(HeraldTest, ANewProgramThatFailsSaysNothingOfItsEnd) {
  herald_.emplace(clock_, true);
  make(plan(2));
  herald_->stop("no worker became ready", seconds(1));
  EXPECT_EQ(heard(), Datagrams{});
}

TEST_F(HeraldTest, TheEnd) {
  serve();
  herald_->stop("stopping", seconds(34));
  EXPECT_EQ(heard(), Datagrams{"STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=34000000"});
  herald_->stop("stopping", seconds(4));
  die(kFirst);
  turn();
  EXPECT_EQ(heard(), Datagrams{});
}

TEST_F(HeraldTest, AStartThatFails) {
  herald_.emplace(clock_, false);
  make(plan(2));
  herald_->stop("no worker became ready", seconds(4));
  EXPECT_EQ(heard(),
            Datagrams{"STOPPING=1\nSTATUS=no worker became ready\nEXTEND_TIMEOUT_USEC=4000000"});
}

TEST_F(HeraldTest, TheWatchdogHearsAThirdOfItsIntervalApart) {
  serve();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(herald_->next_turn(), clock_.now() + seconds(3));
    pass(seconds(3) - milliseconds(10), {kFirst, kFirst + 1});
    EXPECT_EQ(heard(), Datagrams{});
    pass(milliseconds(10), {kFirst, kFirst + 1});
    EXPECT_EQ(heard(), Datagrams{"WATCHDOG=1"});
  }
}

TEST_F(HeraldTest, TheWatchdogHearsNothingWhileAWorkerIsSilent) {
  Plan patient = plan(2);
  patient.timeout = seconds(100);
  herald_.emplace(clock_, false);
  make_ready(patient);
  herald_->begin(*crew_);
  EXPECT_EQ(heard().back(), "WATCHDOG=1");
  pass(seconds(15), {kFirst});
  EXPECT_EQ(heard(), Datagrams{});
  pass(seconds(3), {kFirst, kFirst + 1});
  EXPECT_EQ(heard(), Datagrams{"WATCHDOG=1"});
}

TEST_F(HeraldTest, AfterAPauseTheWatchdogHearsAtOnce) {
  serve();
  pause(hours(1));
  EXPECT_EQ(heard(), Datagrams{});
  herald_->resume();
  EXPECT_EQ(heard(), Datagrams{"WATCHDOG=1"});
}

}  // namespace
}  // namespace reactor::prefork
