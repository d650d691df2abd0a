// SPDX-License-Identifier: MIT
// What a worker that a client has taken over can do to each kind of listener, and the rights that a
// worker gives up to limit the damage. Other acts are in tests/adversity/evil_acts.cc. Each test
// forks, so its name contains Fork.
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <vector>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "reactor/net/server.h"
#include "tests/prefork/prefork_test.h"
#include "tests/support/temporary_folder.h"

namespace reactor::prefork {
namespace {

using std::chrono::seconds;

class Echo final : public StreamHandler {
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
};

int serve_echo(Worker& worker) {
  auto server = Server<Echo>::adopt(worker.loop(), worker.listeners(), {}).value();
  return worker.serve(*server);
}

// ---- The descriptors that foreign code finds in a worker ----

std::vector<int> descriptors() {
  std::vector<int> numbers;
  DIR* const directory = ::opendir("/dev/fd");
  if (directory == nullptr) return numbers;
  while (const dirent* const entry = ::readdir(directory)) {
    const int number = std::atoi(entry->d_name);
    if (number > STDERR_FILENO && number != ::dirfd(directory)) numbers.push_back(number);
  }
  ::closedir(directory);
  return numbers;
}

const char* const kMended = "they listen again";

// Memory that a test shares with the processes it forks.
template <class T>
class Shared {
 public:
  Shared()
      : value_(static_cast<T*>(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(value_, sizeof(T)); }
  T& operator*() const noexcept { return *value_; }

 private:
  T* value_;
};

class EvilWorkerFork : public ::testing::Test {
 protected:
  static Options options() {
    Options result;
    result.addresses = {Address::loopback(0)};
    result.workers = 2;
    result.graceful_timeout = seconds(1);
    return result;
  }
  // Returns whether some worker echoes a byte.
  static bool echoes(const std::string& address) {
    const Socket socket = Socket::connect(Address::parse(address).value()).value();
    pollfd ready{socket.fd(), POLLOUT, 0};
    if (::poll(&ready, 1, 5000) != 1 || ::write(socket.fd(), "x", 1) != 1) return false;
    ready.events = POLLIN;
    char byte = 0;
    return ::poll(&ready, 1, 5000) == 1 && ::read(socket.fd(), &byte, 1) == 1;
  }
  // Reloads, and waits for two new workers, which only a reload starts.
  static void expect_reload(Running& master) {
    master.signal(SIGHUP);
    static_cast<void>(master.lines.after("log reload: the workers are replaced"));
    for (int ready = 0; ready < 2;) {
      const std::string line = master.lines.after("log worker ");
      if (line.find("is ready") != std::string::npos) ++ready;
      if (line.empty()) return;
    }
  }
  static void expect_end(Running& master) {
    const TimePoint start = monotonic_now();
    master.signal(SIGTERM);
    EXPECT_EQ(master.wait(), kExitOk);
    EXPECT_LT(monotonic_now() - start, seconds(8)) << "1 s of grace, 2 s for the one that stays";
  }

  Shared<std::atomic<int>> committed_;
};

TEST_F(EvilWorkerFork, AUnixListenerThatWasShutDownIsMadeAnew) {
  const TemporaryFolder folder;
  const std::string path = folder.file("socket");
  Options local = options();
  local.addresses = {folder.socket("socket")};
  Running master(std::move(local), [&](Worker& worker, const Lines&) {
    if (worker.index() != 0 || (*committed_).exchange(1) != 0) return serve_echo(worker);
    for (const int fd : descriptors()) ::shutdown(fd, SHUT_RD);
    return 0;
  });
  const std::string address = master.lines.after("listening ");
  std::string line = "?";
  while (!line.empty() && line.find(kMended) == line.npos) line = master.lines.after("log ");
  expect_reload(master);
  EXPECT_TRUE(echoes(address));
  expect_end(master);
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the file of the new socket is removed";
}

#if defined(__linux__)
// The master notices the filter even if nothing else wakes it: no worker ends, and no worker's loop
// has to turn.
TEST_F(EvilWorkerFork, AListenerWithALockedFilterIsMadeAnewWithinASecond) {
  Options patient = options();
  patient.timeout = Duration::zero();
  patient.reuse_port = false;  // one listener for all workers
  Running master(std::move(patient), [&](Worker& worker, const Lines&) {
    if (worker.index() != 0 || (*committed_).exchange(1) != 0) return serve_echo(worker);
    // By then the master has looked at the listener once. An attack in a client's request comes as
    // late.
    const Timer later = worker.loop().after(std::chrono::milliseconds(200), [] {
      for (const int fd : descriptors()) {
        int listens = 0;
        socklen_t length = sizeof listens;
        ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
        if (listens == 0) continue;
        static_cast<void>(Socket::refuse_new(fd));
        const int on = 1;
        ::setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on);
      }
    });
    return serve_echo(worker);
  });
  const std::string address = master.lines.after("listening ");
  static_cast<void>(master.lines.after("ready"));
  std::string line = "?";
  while (!line.empty() && line.find(kMended) == line.npos) line = master.lines.after("log ");
  EXPECT_FALSE(line.empty());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(echoes(address));
  expect_end(master);
}
#endif

// ---- Rights that a worker gives up ----

TEST_F(EvilWorkerFork, AWorkerHasASessionOfItsOwnAndNoInput) {
  Running master(options(), [](Worker& worker, const Lines& lines) {
    struct stat input {};
    struct stat null {};
    ::fstat(STDIN_FILENO, &input);
    ::stat("/dev/null", &null);
    lines.say(std::string("worker ") + (::getsid(0) == ::getpid() ? "leads" : "follows") +
              (input.st_rdev == null.st_rdev ? " null" : " input"));
    return serve_echo(worker);
  });
  EXPECT_EQ(master.lines.after("worker "), "leads null");
  static_cast<void>(master.lines.after("ready"));
  expect_end(master);
}

#if defined(__linux__)
TEST_F(EvilWorkerFork, NoProgramOfAWorkersGainsRights) {
  Running master(options(), [](Worker& worker, const Lines& lines) {
    lines.say("worker " + std::to_string(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
    return serve_echo(worker);
  });
  EXPECT_EQ(master.lines.after("worker "), "1");
  static_cast<void>(master.lines.after("ready"));
  expect_end(master);
}

TEST_F(EvilWorkerFork, AWorkerOfAnotherUserCannotBeTraced) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root starts workers as another user";
  Options other = options();
  other.identity = find_identity("65534", "65534").value();
  Running master(std::move(other), [](Worker& worker, const Lines& lines) {
    lines.say("worker " + std::to_string(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)));
    return serve_echo(worker);
  });
  EXPECT_EQ(master.lines.after("worker "), "0");
  static_cast<void>(master.lines.after("ready"));
  expect_end(master);
}

// The master runs in the foreground of a terminal.
TEST_F(EvilWorkerFork, AWorkerNeitherReadsNorTypesIntoTheMastersTerminal) {
  const int failed = in_child([] {
    const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY));
    ASSERT_TRUE(terminal);
    ASSERT_EQ(::grantpt(terminal.get()), 0);
    ASSERT_EQ(::unlockpt(terminal.get()), 0);
    const std::string name = ::ptsname(terminal.get());
    const pid_t running = spawn_child([&] {
      ::setsid();
      const int line = ::open(name.c_str(), O_RDWR);  // makes it the session's controlling terminal
      for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(line, fd);
      ::close(line);
      Options one = options();
      one.workers = 1;
      if (::geteuid() == 0) one.identity = find_identity("65534", "65534").value();
      Running master(std::move(one), [](Worker& worker, const Lines& lines) {
        bool harmless = ::open("/dev/tty", O_RDWR) < 0;
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
          char byte = '\n';
          if (::ioctl(fd, TIOCSTI, &byte) == 0) harmless = false;
          if (::isatty(fd) != 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) harmless = false;
        }
        lines.say(harmless ? "worker harmless" : "worker harmful");
        return serve_echo(worker);
      });
      const bool harmless = master.lines.after("worker ") == "harmless";
      static_cast<void>(master.lines.after("ready"));
      master.signal(SIGTERM);
      return master.wait() == kExitOk && harmless ? 0 : 1;
    });
    EXPECT_EQ(wait_for_child(running), 0);
  });
  EXPECT_EQ(failed, 0);
}
#endif

}  // namespace
}  // namespace reactor::prefork
