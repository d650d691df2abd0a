// SPDX-License-Identifier: MIT
// A crew with a simulated clock and simulated processes: no process is forked or waited for.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reactor/prefork/internal/crew.h"
#include "tests/support/fd_guard.h"
#include "tests/support/log_capture.h"

namespace reactor::prefork {

// Stands in for the kernel and for the workers' ends of the control sockets.
class PlayedCalls final : public ProcessCalls {
 public:
  static constexpr pid_t kFirst = 1000;

  pid_t fork(WorkerControl& worker) override {
    ++tries;
    errno = EAGAIN;
    if (refuse) return -1;
    const pid_t pid = kFirst + started++;
    workers.emplace(pid, std::move(worker));
    return pid;
  }
  void kill(pid_t pid, int number) noexcept override { signals[pid].push_back(number); }
  pid_t wait(pid_t pid, int& status) noexcept override {
    const auto found = dead.find(pid);
    if (found == dead.end()) return 0;
    status = found->second;
    return pid;
  }

  bool refuse = false;
  int tries = 0, started = 0;
  std::map<pid_t, WorkerControl> workers;
  std::map<pid_t, std::vector<int>> signals;
  std::map<pid_t, int> dead;
};

class CrewTest : public ::testing::Test {
 protected:
  static Plan plan(unsigned workers) {
    Plan result;
    result.workers = workers;
    result.timeout = std::chrono::seconds(4);
    result.graceful_timeout = std::chrono::seconds(10);
    return result;
  }
  void make(const Plan& first) {
    crew_.emplace(Crew::Generation{first, {}}, first.workers, 1, *scoreboard_, clock_, calls_,
                  [](WorkerProcess&, WorkerControl&, Crew::Generation&, SignalBlock&) {});
    if (held_) crew_->hold();
    turn();
  }
  void make_ready(const Plan& first) {
    make(first);
    for (unsigned slot = 0; slot < first.workers; ++slot) {
      ready(PlayedCalls::kFirst + static_cast<pid_t>(slot));
    }
    turn();
  }

  // Does what the master does in a turn.
  void turn() {
    crew_->advance();
    std::vector<pollfd> fds;
    crew_->add_to(fds);
    for (const pollfd& each : fds) {
      pollfd wait = each;
      if (::poll(&wait, 1, 0) > 0) crew_->read_control(wait.fd);
    }
    crew_->reap();
    crew_->look_after();
    crew_->advance();
  }
  // Lets time pass in turns of 10 ms. In each of them the loops of the workers in `lively` turn as
  // well.
  void pass(Duration time, const std::vector<pid_t>& lively = {}) {
    for (Duration done{}; done < time; done += std::chrono::milliseconds(10)) {
      clock_.plan(std::chrono::milliseconds(10));
      clock_.begin_turn(real_ += std::chrono::milliseconds(10));
      for (const pid_t pid : lively) beat(pid);
      turn();
    }
  }
  void pause(Duration time) {
    clock_.plan(std::chrono::milliseconds(10));
    clock_.begin_turn(real_ += time);
    turn();
  }
  // Counts a turn of the worker's loop. The pid gives the seat, because seats are taken in order
  // and these tests reuse none.
  void beat(pid_t pid) {
    scoreboard_->seat(static_cast<std::uint32_t>(pid - PlayedCalls::kFirst)).loop.turns.add();
  }
  void ready(pid_t pid) { EXPECT_TRUE(calls_.workers.at(pid).say_ready()); }
  void ask_for_successor(pid_t pid) { calls_.workers.at(pid).ask_for_successor(); }
  void die(pid_t pid, int status = 0x100) { calls_.dead[pid] = status; }
  // Returns the messages that the master has sent to a worker since the last call.
  std::vector<Message> heard(pid_t pid) {
    std::vector<Message> messages;
    while (auto message = calls_.workers.at(pid).receive().message) messages.push_back(*message);
    return messages;
  }
  static bool any(const std::vector<Message>& messages, Message::Kind kind) {
    return std::any_of(messages.begin(), messages.end(),
                       [kind](const Message& message) { return message.kind == kind; });
  }
  std::ptrdiff_t count(const std::string& text) const {
    return std::count_if(log_.lines().begin(), log_.lines().end(), [&](const auto& line) {
      return line.text.find(text) != std::string::npos;
    });
  }

  static constexpr pid_t kFirst = PlayedCalls::kFirst;
  FdGuard guard_;
  LogCapture log_;
  std::unique_ptr<Scoreboard> scoreboard_ = Scoreboard::make().value();
  TimePoint real_{std::chrono::hours(1)};
  RunClock clock_{real_};
  PlayedCalls calls_;
  bool held_ = false;
  std::optional<Crew> crew_;
};

}  // namespace reactor::prefork
