// SPDX-License-Identifier: MIT
// A client takes over worker 0 of a real master and commits an act of evil_acts.cc there. Meanwhile
// the sibling worker must go on serving its client, and the master must answer HUP and TERM within
// a second.
//
// usage: adversity_evil_worker [ACT]...
// Without an ACT it commits all of them. REACTOR_ADVERSITY_SECONDS=N adds random acts for N
// seconds.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "reactor/net/server.h"
#include "tests/adversity/evil_acts.h"
#include "tests/prefork/prefork_test.h"
#include "tests/support/stopwatch.h"

namespace reactor::prefork {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The time limits that the library promises, each with kBusy added for a busy machine.
constexpr Duration kBusy = seconds(2);
constexpr Duration kAnswer = seconds(1) + kBusy;  // for the master to answer a signal
// The limit for a worker's answer. A blocked worker is free within 1 s.
constexpr Duration kService = seconds(1) + kBusy;
constexpr Duration kGrace = milliseconds(500);
// A worker that does not stop by itself takes 2 s more.
constexpr Duration kEnd = kGrace + seconds(2) + kBusy;

// ---- The server: it answers each byte with the number of its worker ----

struct Scene {
  const Act& act;
  unsigned worker;
  const Lines& lines;
};

class Evil final : public StreamHandler {
 public:
  using Context = Scene;
  explicit Evil(Scene& scene) : scene_(scene) {}
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    if (bytes.front() == std::byte{'!'}) commit();
    stream.write(std::to_string(scene_.worker));
  }
  HandOver on_hand_over(Stream&, std::vector<std::byte>&) override { return HandOver::now; }

 private:
  [[noreturn]] void commit() {
    ::signal(SIGPIPE, SIG_IGN);
    scene_.act.commit();
    scene_.lines.say("committed");
    while (scene_.act.pace == Pace::once) ::pause();
    for (;;) {
      if (scene_.act.pace == Pace::often) std::this_thread::sleep_for(milliseconds(1));
      scene_.act.commit();
    }
  }
  Scene& scene_;
};

int serve(const Act& act, Worker& worker, const Lines& lines) {
  Scene scene{act, worker.index(), lines};
  SignalWatcher told = worker.loop().on_signal(SIGTERM, [&] { lines.say("told to end"); }).value();
  told.unref();
  auto server = Server<Evil>::adopt(worker.loop(), worker.listeners(), {}, scene).value();
  return worker.serve(*server);
}

// ---- Its clients ----

class Client {
 public:
  explicit Client(const Address& address) : socket_(Socket::connect(address).value()) {}

  void send(char byte) {
    pollfd ready{socket_.fd(), POLLOUT, 0};
    if (::poll(&ready, 1, limit()) == 1) ::send(socket_.fd(), &byte, 1, MSG_NOSIGNAL);
  }
  // Returns the number of the worker that answers; -1 if none answers in time.
  int answer() {
    pollfd ready{socket_.fd(), POLLIN, 0};
    char number = 0;
    if (::poll(&ready, 1, limit()) != 1 || ::read(socket_.fd(), &number, 1) != 1) return -1;
    return number - '0';
  }
  int ask() {
    send('?');
    return answer();
  }

 private:
  static int limit() { return static_cast<int>(kService / milliseconds(1)); }
  Socket socket_;
};

Client client_of(int worker, const Address& address) {
  for (;;) {
    Client client(address);
    if (const int number = client.ask(); number == worker) return client;
  }
}

// ---- One cell ----

class Cell {
 public:
  explicit Cell(const Act& act)
      : act_(act), master_(options(), [&act](Worker& worker, const Lines& lines) {
          return serve(act, worker, lines);
        }) {}

  void run() {
    address_ = Address::parse(master_.lines.after("listening ")).value();
    static_cast<void>(master_.lines.after("ready"));
    Client of_sibling = client_of(1, address_);
    client_of(0, address_).send('!');
    expect_answer();
    std::vector<Client> newcomers;
    for (int i = 0; i < 5; ++i) newcomers.emplace_back(address_).send('?');
    for (int i = 0; i < 10; ++i) {
      EXPECT_GE(of_sibling.ask(), 0) << "the sibling serves on";
      std::this_thread::sleep_for(milliseconds(5));
    }
    for (Client& each : newcomers) {
      if (act_.newcomers == Newcomers::at_risk) break;
      EXPECT_GE(each.answer(), 0) << "newcomers are served";
    }
    reload();
    end();
    if (::testing::Test::HasFailure()) std::printf("%s", log_.c_str());
  }

 private:
  static Options options() {
    Options result;
    result.addresses = {Address::loopback(0)};
    result.workers = 2;
    result.graceful_timeout = kGrace;
    return result;
  }

  void expect_line(const std::string& text) {
    std::string line = "?";
    while (!line.empty() && line.find(text) == line.npos) {
      line = master_.lines.next();
      log_ += line + "\n";
    }
    EXPECT_FALSE(line.empty()) << "no line with: " << text;
  }

  void expect_answer() {
    static const std::map<Answer, std::string> kLines = {
        {Answer::none, "committed"},
        {Answer::kill, ") sent its master a byte that no worker sends, and is killed"},
        {Answer::heir, "log worker 0 "},
        {Answer::mend, "they listen again"}};
    expect_line(kLines.at(act_.answer));
  }

  void reload() {
    const TimePoint start = monotonic_now();
    const Stopwatch watch;
    master_.signal(SIGHUP);
    expect_line("log reload: the workers are replaced");
    EXPECT_LT(watch.elapsed(), kAnswer) << "HUP";
    for (int ready = 0; ready < 2; ++ready) expect_line("is ready");
    // The listeners may have been shut down once more just now, and workers are still being
    // replaced.
    int served = 0;
    for (const TimePoint limit = start + kLimit; served < 5 && monotonic_now() < limit;) {
      served = Client(address_).ask() >= 0 ? served + 1 : 0;
    }
    EXPECT_EQ(served, 5) << "everybody is served after a reload";
  }

  void end() {
    const Stopwatch watch;
    master_.signal(SIGTERM);
    expect_line("told to end");
    EXPECT_LT(watch.elapsed(), kAnswer) << "TERM";
    EXPECT_EQ(master_.wait(), kExitOk);
    EXPECT_LT(watch.elapsed(), kEnd);
    expect_line("returned");
  }

  const Act& act_;
  Running master_;
  Address address_;
  std::string log_;
};

// ---- All cells ----

class Sweep {
 public:
  explicit Sweep(std::string program) : program_(std::move(program)) {}
  ~Sweep() {
    while (!running_.empty()) wait();
  }
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  void add(const Act& act) {
    static constexpr std::size_t kAtOnce = 6;  // six at once, because they mostly wait
    if (running_.size() == kAtOnce) wait();
    const pid_t pid = spawn_child([&act] {
      Cell(act).run();
      return ::testing::Test::HasFailure() ? 1 : 0;
    });
    running_[pid] = act.name;
    ++cells_;
  }
  void wait() {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, 0);
    const auto found = running_.find(pid);
    if (found == running_.end()) return;
    if (status != 0) {
      ++failed_;
      std::printf("failed: %s (status %d)\nreplay: %s \"%s\"\n", found->second.c_str(), status,
                  program_.c_str(), found->second.c_str());
    }
    running_.erase(found);
  }
  int report() {
    while (!running_.empty()) wait();
    std::printf("evil_worker: %d acts, %d failed\n", cells_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  std::string program_;
  std::map<pid_t, std::string> running_;
  int cells_ = 0, failed_ = 0;
};

std::optional<Act> find(const std::string& name) {
  const std::string random = "scoreboard random ";
  if (name.starts_with(random))
    return random_act(static_cast<unsigned>(std::stoul(name.substr(random.size()))));
  for (Act& act : evil_acts()) {
    if (act.name == name) return std::move(act);
  }
  return {};
}

int sweep(const std::string& program) {
  const char* const long_form = std::getenv("REACTOR_ADVERSITY_SECONDS");
  const TimePoint end = monotonic_now() + seconds(long_form == nullptr ? 0 : std::atoi(long_form));
  Sweep sweep(program);
  for (const Act& act : evil_acts()) sweep.add(act);
  std::random_device entropy;
  do sweep.add(random_act(entropy()));
  while (monotonic_now() < end);
  return sweep.report();
}

}  // namespace
}  // namespace reactor::prefork

int main(int count, char** arguments) {
  using namespace reactor::prefork;
  ::testing::InitGoogleTest(&count, arguments);
  if (count == 1) return sweep(arguments[0]);
  Sweep chosen(arguments[0]);
  for (int i = 1; i < count; ++i) {
    const std::optional<Act> act = find(arguments[i]);
    if (!act) return std::fprintf(stderr, "no such act: %s\n", arguments[i]), 2;
    chosen.add(*act);
    chosen.wait();
  }
  return chosen.report();
}
