// SPDX-License-Identifier: MIT
#include "tests/adversity/evil_acts.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <utility>

#include "reactor/net/fd_passing.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "tests/prefork/lingering.h"

namespace reactor::prefork {
namespace {

using Bytes = std::vector<std::byte>;

// ---- Things that the worker's code finds in its process ----

std::vector<int> descriptors_of(const std::function<bool(int)>& wanted) {
  std::vector<int> found;
  for (int fd = STDERR_FILENO + 1; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 && wanted(fd)) found.push_back(fd);
  }
  return found;
}

int option_of(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

// Whether `fd` is the pipe on which the test waits for the act.
bool is_the_tests(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
         (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

// The pipe to the master, and pipes of the worker's own that nobody reads.
std::vector<int> pipes() {
  return descriptors_of([](int fd) {
    struct stat status {};
    const int flags = ::fcntl(fd, F_GETFL);
    return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) &&
           (flags & O_ACCMODE) == O_WRONLY && (flags & O_NONBLOCK) != 0;
  });
}
std::vector<int> mailboxes() {
  return descriptors_of([](int fd) { return option_of(fd, SO_TYPE) == SOCK_SEQPACKET; });
}
std::vector<int> listeners() {
  return descriptors_of([](int fd) { return option_of(fd, SO_ACCEPTCONN) == 1; });
}
// The socket on which the master sends messages to the worker.
std::vector<int> control() {
  return descriptors_of([](int fd) {
    return option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_STREAM;
  });
}

// The memory that all processes of the server share.
std::byte* scoreboard() {
  std::ifstream maps("/proc/self/maps");
  std::byte* found = nullptr;
  std::size_t largest = 0;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (line.find(" rw-s ") == line.npos || line.find("/dev/zero") == line.npos) continue;
    if (std::sscanf(line.c_str(), "%zx-%zx", &begin, &end) != 2 || end - begin < largest) continue;
    largest = end - begin;
    found = reinterpret_cast<std::byte*>(begin);
  }
  return found;
}

// ---- Ways to commit an act ----

void say(const Bytes& bytes) {
  for (const int fd : pipes()) {
    [[maybe_unused]] const auto written = ::write(fd, bytes.data(), bytes.size());
  }
}

void send_to(const std::vector<int>& sockets, const Bytes& bytes, const std::vector<int>& gifts) {
  for (const int fd : sockets) {
    if (!bytes.empty() || gifts.empty()) {
      static_cast<void>(send_with_descriptors(fd, bytes, gifts));
    } else {
      static_cast<void>(send_with_descriptor(fd, {}, gifts.front()));
    }
  }
}

Bytes bytes_of(std::size_t count, int first, int rest = 0) {
  Bytes bytes(count, static_cast<std::byte>(rest));
  if (count > 0) bytes.front() = static_cast<std::byte>(first);
  return bytes;
}

void send_each_letter(const std::vector<int>& gifts) {
  for (const Bytes& bytes : {bytes_of(0, 0), bytes_of(1, 1), bytes_of(1, 2), bytes_of(64, 1, 0xff),
                             bytes_of(64, 1, 0), bytes_of(4097, 1), bytes_of(9000, 1)}) {
    send_to(mailboxes(), bytes, gifts);
  }
}

void read_away(const std::vector<int>& sockets) {
  std::array<std::byte, 8192> buffer;
  UniqueFd gift;
  for (const int fd : sockets) static_cast<void>(receive_with_descriptor(fd, buffer, gift));
}

void shut_down(const std::vector<int>& sockets, int how) {
  for (const int fd : sockets) ::shutdown(fd, how);
}

void close_all(const std::vector<int>& descriptors) {
  for (const int fd : descriptors) ::close(fd);
}

// The other end of the socket stays open as long as the worker lives.
std::vector<int> lingering() {
  static std::vector<std::unique_ptr<Lingering>> kept;
  if (kept.size() < 3) kept.push_back(std::make_unique<Lingering>());
  return {kept.back()->socket.get()};
}

void make_blocking(const std::vector<int>& descriptors) {
  for (const int fd : descriptors) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

// ---- The scoreboard, field by field ----

struct Field {
  const char* name;
  std::size_t offset, size;
  std::size_t count, stride;
};

constexpr std::size_t kCounts = sizeof(std::uint32_t) * (1 + 2 * std::size_t{Scoreboard::kSlots});
constexpr std::size_t kSeatsBegin = (kCounts + alignof(Seat) - 1) / alignof(Seat) * alignof(Seat);

Field seat_field(const char* name, std::size_t offset, std::size_t size) {
  return {name, kSeatsBegin + offset, size, 16, sizeof(Seat)};
}

std::vector<Field> fields() {
  return {
      {"slots", 0, 4, 1, 4},
      {"occupants", 4, 4, Scoreboard::kSlots, 4},
      {"coming", 4 + 4 * std::size_t{Scoreboard::kSlots}, 4, Scoreboard::kSlots, 4},
      seat_field("connections", offsetof(Seat, connections), sizeof(Counter)),
      seat_field("most", offsetof(Seat, most), sizeof(Counter)),
      seat_field("capacity", offsetof(Seat, capacity), sizeof(Counter)),
      seat_field("accepts", offsetof(Seat, accepts), 4),
      seat_field("loop", offsetof(Seat, loop), sizeof(LoopStats)),
      {"all", 0, kSeatsBegin + 16 * sizeof(Seat), 1, 0},
  };
}

void scribble(std::byte* scoreboard, const Field& field, unsigned char value) {
  for (std::size_t i = 0; scoreboard != nullptr && i < field.count; ++i) {
    std::memset(scoreboard + field.offset + i * field.stride, value, field.size);
  }
}

// ---- The table ----

// One row for each act: its name, the master's answer, whether newcomers are served, how often the
// act is repeated, and the act itself.
struct Row {
  const char* name;
  Answer answer;
  Newcomers newcomers;
  Pace pace;
  std::function<void()> commit;
};

constexpr auto kNone = Answer::none, kKill = Answer::kill, kHeir = Answer::heir,
               kMend = Answer::mend;
constexpr auto kServed = Newcomers::served, kAtRisk = Newcomers::at_risk;
constexpr auto kOnce = Pace::once, kOften = Pace::often, kCeaselessly = Pace::ceaselessly;

// Acts that use the pipe to the master. The worker has already sent `ready` (1).
std::vector<Row> notices() {
  return {
      {"notice 0", kKill, kServed, kOnce, [] { say(bytes_of(1, 0)); }},
      {"notice ready again", kKill, kServed, kOnce, [] { say(bytes_of(1, 1)); }},
      {"notice renew", kNone, kServed, kOnce, [] { say(bytes_of(1, 2)); }},
      {"notice renew twice", kKill, kServed, kOnce, [] { say(bytes_of(2, 2, 2)); }},
      {"notice renew for ever", kKill, kServed, kCeaselessly, [] { say(bytes_of(1, 2)); }},
      {"notice 3", kKill, kServed, kOnce, [] { say(bytes_of(1, 3)); }},
      {"notice 127", kKill, kServed, kOnce, [] { say(bytes_of(1, 127)); }},
      {"notice 128", kKill, kServed, kOnce, [] { say(bytes_of(1, 128)); }},
      {"notice 255", kKill, kServed, kOnce, [] { say(bytes_of(1, 255)); }},
      {"notice renew and garbage", kKill, kServed, kOnce, [] { say(bytes_of(4096, 2, 9)); }},
      {"notice flood", kKill, kServed, kCeaselessly, [] { say(bytes_of(4096, 7, 7)); }},
      {"notice flood by children", kKill, kServed, kCeaselessly,
       [] {
         static int forks = 0;
         while (forks++ < 2 && ::fork() != 0) continue;
         say(bytes_of(4096, 7, 7));
       }},
      {"notices closed", kNone, kServed, kOnce, [] { close_all(pipes()); }},
  };
}

// Acts that use the socket on which the master sends, in the wrong direction.
std::vector<Row> messages() {
  std::vector<Row> rows = {
      {"message cut", kNone, kServed, kOften, [] { send_to(control(), bytes_of(3, 0), {}); }},
      {"message too long", kNone, kServed, kOften,
       [] { send_to(control(), bytes_of(100'000, 4, 0xff), {}); }},
      {"messages read away", kNone, kServed, kOften, [] { read_away(control()); }},
      {"messages shut down", kNone, kServed, kOnce, [] { shut_down(control(), SHUT_RDWR); }},
      {"messages closed", kNone, kServed, kOnce, [] { close_all(control()); }},
  };
  static constexpr std::array kKinds = {"message retire", "message look", "message sibling",
                                        "message serve", "message unknown"};
  for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
    rows.push_back({kKinds[kind], kNone, kServed, kOften, [kind] {
                      send_to(control(), bytes_of(8, static_cast<int>(kind)), {STDERR_FILENO});
                    }});
  }
  return rows;
}

// Acts that use the mailboxes of all slots. Each kind of descriptor goes with each kind of message:
// empty, valid, of another version, with garbage as the state, of the greatest size, and too long.
std::vector<Row> letters() {
  const auto with = [](const char* name, std::vector<int> (*make)()) {
    return Row{name, kNone, kServed, kOnce, [make] { send_each_letter(make()); }};
  };
  return {
      with("letter with nothing", [] { return std::vector<int>{}; }),
      with("letter with a file", [] { return std::vector{::open("/proc/self/exe", O_RDONLY)}; }),
      with("letter with a folder", [] { return std::vector{::open("/", O_RDONLY)}; }),
      with("letter with a path", [] { return std::vector{::open("/", O_PATH)}; }),
      with("letter with a device", [] { return std::vector{::open("/dev/zero", O_RDWR)}; }),
      with("letter with a pipe", [] { return pipes(); }),
      with("letter with a datagram socket",
           [] { return std::vector{::socket(AF_INET, SOCK_DGRAM, 0)}; }),
      with("letter with an idle socket",
           [] { return std::vector{::socket(AF_INET, SOCK_STREAM, 0)}; }),
      with("letter with a listener", [] { return listeners(); }),
      with("letter with a mailbox", [] { return mailboxes(); }),
      with("letter with a control socket", [] { return control(); }),
      with("letter with many", [] { return std::vector(kMostDescriptors, STDERR_FILENO); }),
      with("letter with one that blocks at its close", [] { return lingering(); }),
      {"letter flood", kNone, kServed, kCeaselessly,
       [] { send_to(mailboxes(), bytes_of(1, 9), {STDERR_FILENO}); }},
      {"letter flood of connections", kNone, kAtRisk, kCeaselessly,
       [] { send_to(mailboxes(), bytes_of(1, 1), lingering()); }},
      {"letters read away", kNone, kAtRisk, kOften, [] { read_away(mailboxes()); }},
      {"mailboxes shut down", kNone, kAtRisk, kOnce, [] { shut_down(mailboxes(), SHUT_RDWR); }},
      {"mailboxes that block", kNone, kServed, kOnce, [] { make_blocking(mailboxes()); }},
  };
}

std::vector<Row> sockets() {
  return {
      {"listeners shut down", kMend, kAtRisk, kOnce, [] { shut_down(listeners(), SHUT_RD); }},
      {"listeners shut down at its death", kMend, kAtRisk, kOnce,
       [] {
         shut_down(listeners(), SHUT_RD);
         ::_exit(0);
       }},
      {"listeners with a filter", kMend, kAtRisk, kOnce,
       [] {
         for (const int fd : listeners()) static_cast<void>(Socket::refuse_new(fd));
       }},
      {"listeners that block", kMend, kAtRisk, kOnce, [] { make_blocking(listeners()); }},
      {"queues emptied", kNone, kAtRisk, kOften,
       [] {
         for (const int fd : listeners()) static_cast<void>(Socket::accept(fd));
       }},
      {"all closed", kNone, kAtRisk, kOnce,
       [] { close_all(descriptors_of([](int fd) { return !is_the_tests(fd); })); }},
      {"sleep", kNone, kServed, kOnce, [] {}},
      {"end", kHeir, kServed, kOnce, [] { ::_exit(0); }},
      {"crash", kHeir, kServed, kOnce, [] { ::kill(::getpid(), SIGSEGV); }},
  };
}

Act act_of(const Row& row) { return {row.name, row.answer, row.newcomers, row.pace, row.commit}; }

Act board_act(const Field& field, unsigned value) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "scoreboard %s %02x", field.name, value);
  return {name.data(), kNone, kAtRisk, kOften, [field, value] {
            static std::byte* const memory = scoreboard();
            scribble(memory, field, static_cast<unsigned char>(value));
          }};
}

}  // namespace

std::vector<Act> evil_acts() {
  std::vector<Act> acts;
  for (const auto& rows : {notices(), messages(), letters(), sockets()}) {
    std::transform(rows.begin(), rows.end(), std::back_inserter(acts), &act_of);
  }
  for (const Field& field : fields()) {
    for (const unsigned value : {0x00U, 0x01U, 0x7fU, 0x80U, 0xffU}) {
      acts.push_back(board_act(field, value));
    }
  }
  return acts;
}

Act random_act(unsigned seed) {
  return {"scoreboard random " + std::to_string(seed), kNone, kAtRisk, kOften, [seed] {
            static std::byte* const memory = scoreboard();
            static std::mt19937 random(seed);
            for (std::size_t i = 0; memory != nullptr && i < kSeatsBegin + 16 * sizeof(Seat); ++i) {
              if (random() % 4 == 0) memory[i] = static_cast<std::byte>(random());
            }
          }};
}

}  // namespace reactor::prefork
