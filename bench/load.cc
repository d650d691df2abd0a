// SPDX-License-Identifier: MIT
// The load client is a closed loop in one thread over edge-triggered epoll. It learns the length of
// an answer from the first answer. After that it only counts bytes, so that it costs less than the
// server.
//
// usage: load MODE ADDRESS:PORT [OPTION...]
//   keep-alive   requests on connections that stay open; -d requests are in flight on each
//   close        a connection for each request, closed by the server
//   echo         messages of -s bytes, one in flight on each connection
//   idle-http, idle-echo    opens the connections, has one exchange on each, prints how many there
//                           are, and holds them until standard input ends
//   -c N  connections (64)            -d N  pipelining depth (1)     -s N  bytes (64)
//   -t S  seconds to measure (1)      -w S  seconds of warm-up (0.2)
//   -n N  stop after that many answers, without warm-up
//   -a N  spread the connections over that many loopback addresses (1)
//   --sleep  wait in epoll_wait(2); the default spins, so that the server never pays for waking
//            its client
// Prints "start" and "stop" around the measured time, so that a caller can sample the server's CPU
// time between them. Then prints one line of JSON: rate, answers, seconds, p50_us, p99_us, p999_us,
// max_us, errors.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/histogram.h"

namespace {

constexpr std::size_t kBufferSize = 256 * 1024;
constexpr std::uint64_t kErrorsToGiveUp = 1000;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "load: %s\n", what.c_str());
  std::exit(1);
}

std::uint64_t nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

struct Options {
  enum class Mode { keep_alive, close, echo, idle };

  Mode mode = Mode::keep_alive;
  bool http = true;
  sockaddr_in server{};
  std::size_t connections = 64;
  std::size_t depth = 1;
  std::size_t size = 64;
  double seconds = 1;
  double warm_up = 0.2;
  std::uint64_t answers = 0;  // 0: stop by time
  std::uint32_t addresses = 1;
  bool sleep = false;
};

struct Connection {
  int fd = -1;
  std::size_t to_send = 0;  // bytes of the batch still to be sent
  std::size_t to_come = 0;
  std::uint64_t begin = 0;
};

class Client {
 public:
  explicit Client(const Options& options) : options_(options), buffer_(kBufferSize) {
    const std::string request = one_request();
    for (std::size_t i = 0; i < options.depth; ++i) batch_ += request;
    answer_size_ = options.http ? learn_answer(request) : options.size;
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(options.connections);
  }

  // Opens the connections, has one exchange on each, and holds them.
  void idle() {
    for (Connection& connection : connections_) {
      connection.fd = dial(true);
      if (!exchange(connection.fd)) fail("a connection had no answer");
    }
    std::printf("{\"idle\": %zu}\n", connections_.size());
    std::fflush(stdout);
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
  }

  void run() {
    now_ = nanoseconds();
    for (Connection& connection : connections_) open(connection);
    const auto warm_up = static_cast<std::uint64_t>(options_.warm_up * 1e9);
    if (options_.answers == 0) run_until(now_ + warm_up, 0);
    latency_ = bench::Histogram();
    answers_ = 0;
    mark("start");
    const std::uint64_t begin = nanoseconds();
    const auto length = static_cast<std::uint64_t>(options_.seconds * 1e9);
    run_until(options_.answers == 0 ? begin + length : ~std::uint64_t{0}, options_.answers);
    const double took = static_cast<double>(nanoseconds() - begin) / 1e9;
    mark("stop");
    print(took);
  }

 private:
  [[nodiscard]] bool closes() const { return options_.mode == Options::Mode::close; }

  [[nodiscard]] std::string one_request() const {
    if (!options_.http) return std::string(options_.size, 'x');
    return std::string(
               "GET / HTTP/1.1\r\nHost: server.example\r\nAccept: text/plain,text/html;q=0.9,"
               "application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7\r\n") +
           (closes() ? "Connection: close\r\n\r\n" : "Connection: keep-alive\r\n\r\n");
  }

  // Returns a socket. If `at_once` is set, the socket is connected, else it may still be
  // connecting.
  int dial(bool at_once) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (at_once ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0) fail(std::string("socket: ") + std::strerror(errno));
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const timeval limit{5, 0};
    if (at_once) ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in to = options_.server;
    to.sin_addr.s_addr = htonl(ntohl(to.sin_addr.s_addr) + next_address_++ % options_.addresses);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
        errno != EINPROGRESS) {
      fail(std::string("connect: ") + std::strerror(errno));
    }
    return fd;
  }

  // Sends one batch and reads its answers on a blocking socket.
  bool exchange(int fd) {
    if (::send(fd, batch_.data(), batch_.size(), MSG_NOSIGNAL) < 0) return false;
    std::size_t left = answer_size_ * options_.depth;
    while (left > 0) {
      const ssize_t got = ::recv(fd, buffer_.data(), left, 0);
      if (got <= 0) return false;
      left -= static_cast<std::size_t>(got);
    }
    return true;
  }

  // Sends a first request, and returns the length of its answer, head included, by its
  // Content-Length.
  std::size_t learn_answer(const std::string& request) {
    const int fd = dial(true);
    std::string answer;
    std::optional<std::size_t> length;
    (void)!::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    while (!length || answer.size() < *length) {
      const ssize_t got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) fail("no whole answer: '" + answer + "'");
      answer.append(buffer_.data(), static_cast<std::size_t>(got));
      if (!length) length = length_of(answer);
    }
    ::close(fd);
    if (!answer.starts_with("HTTP/1.1 200")) fail("not a good answer: '" + answer + "'");
    return *length;
  }

  static std::optional<std::size_t> length_of(const std::string& answer) {
    const std::size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) return std::nullopt;
    constexpr std::string_view kField = "\r\ncontent-length:";
    for (std::size_t at = 0; at < end; at = answer.find("\r\n", at + 1)) {
      if (::strncasecmp(answer.c_str() + at, kField.data(), kField.size()) != 0) continue;
      return end + 4 + std::strtoul(answer.c_str() + at + kField.size(), nullptr, 10);
    }
    fail("no Content-Length: '" + answer + "'");
  }

  void open(Connection& connection) {
    connection.fd = dial(!closes());
    ::fcntl(connection.fd, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = &connection;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    begin_batch(connection);
    if (!closes()) send_rest(connection);  // else when it is connected
  }

  void begin_batch(Connection& connection) const {
    connection.to_send = batch_.size();
    connection.to_come = answer_size_ * options_.depth;
    connection.begin = now_;
  }

  void send_rest(Connection& connection) {
    const char* const rest = batch_.data() + (batch_.size() - connection.to_send);
    const ssize_t sent = ::send(connection.fd, rest, connection.to_send, MSG_NOSIGNAL);
    if (sent > 0) connection.to_send -= static_cast<std::size_t>(sent);
  }

  void run_until(std::uint64_t end, std::uint64_t answers) {
    std::array<epoll_event, 1024> events;
    while (now_ < end && (answers == 0 || answers_ < answers)) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                     options_.sleep ? 100 : 0);
      now_ = nanoseconds();
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        handle(*static_cast<Connection*>(event.data.ptr), event.events);
      }
    }
  }

  void handle(Connection& connection, std::uint32_t events) {
    if (connection.to_send > 0 && (events & EPOLLOUT) != 0) send_rest(connection);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    for (;;) {
      const ssize_t got = ::recv(connection.fd, buffer_.data(), buffer_.size(), 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return ended(connection, got == 0);
      const auto size = static_cast<std::size_t>(got);
      if (size > connection.to_come) return ended(connection, false);
      connection.to_come -= size;
      if (closes()) continue;  // the answer ends with the connection
      if (connection.to_come == 0) {
        count(connection);
        begin_batch(connection);
        send_rest(connection);
        return;
      }
      if (size < buffer_.size()) return;
    }
  }

  void count(const Connection& connection) {
    answers_ += options_.depth;
    latency_.add(now_ - connection.begin);
  }

  void ended(Connection& connection, bool in_order) {
    if (closes() && in_order && connection.to_come == 0) {
      count(connection);
    } else if (++errors_ > kErrorsToGiveUp) {
      fail("too many connections ended early");
    }
    ::close(connection.fd);
    open(connection);
  }

  static void mark(const char* word) {
    std::puts(word);
    std::fflush(stdout);
  }

  void print(double seconds) const {
    std::printf(
        "{\"rate\": %.0f, \"answers\": %llu, \"seconds\": %.3f, \"p50_us\": %.1f, \"p99_us\": "
        "%.1f, "
        "\"p999_us\": %.1f, \"max_us\": %.1f, \"errors\": %llu}\n",
        static_cast<double>(answers_) / seconds, static_cast<unsigned long long>(answers_), seconds,
        latency_.quantile(0.5) / 1e3, latency_.quantile(0.99) / 1e3, latency_.quantile(0.999) / 1e3,
        latency_.largest() / 1e3, static_cast<unsigned long long>(errors_));
  }

  const Options& options_;
  std::string batch_;
  std::size_t answer_size_ = 0;
  std::vector<char> buffer_;
  std::vector<Connection> connections_;
  int epoll_ = -1;
  std::uint32_t next_address_ = 0;
  std::uint64_t now_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t errors_ = 0;
  bench::Histogram latency_;
};

void read_mode(Options& options, std::string_view mode) {
  using Mode = Options::Mode;
  options.http = mode != "echo" && mode != "idle-echo";
  if (mode == "keep-alive") {
    options.mode = Mode::keep_alive;
  } else if (mode == "close") {
    options.mode = Mode::close;
  } else if (mode == "echo") {
    options.mode = Mode::echo;
  } else if (mode == "idle-http" || mode == "idle-echo") {
    options.mode = Mode::idle;
  } else {
    fail("unknown mode; the head of load.cc lists them");
  }
}

void read_address(Options& options, const std::string& text) {
  const std::size_t colon = text.rfind(':');
  options.server.sin_family = AF_INET;
  if (colon == std::string::npos ||
      ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &options.server.sin_addr) != 1) {
    fail("not an address: " + text);
  }
  options.server.sin_port = htons(static_cast<std::uint16_t>(std::atoi(text.c_str() + colon + 1)));
}

Options read_options(int argc, char** argv) {
  if (argc < 3) fail("usage: load MODE ADDRESS:PORT [OPTION...]; the head of load.cc tells them");
  Options options;
  read_mode(options, argv[1]);
  read_address(options, argv[2]);
  for (int i = 3; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--sleep") {
      options.sleep = true;
      continue;
    }
    if (i + 1 == argc) fail("an option without its value: " + std::string(name));
    const char* const value = argv[++i];
    const std::uint64_t number = std::strtoull(value, nullptr, 10);
    if (name == "-c")
      options.connections = number;
    else if (name == "-d")
      options.depth = number;
    else if (name == "-s")
      options.size = number;
    else if (name == "-t")
      options.seconds = std::strtod(value, nullptr);
    else if (name == "-w")
      options.warm_up = std::strtod(value, nullptr);
    else if (name == "-n")
      options.answers = number;
    else if (name == "-a")
      options.addresses = static_cast<std::uint32_t>(number);
    else
      fail("unknown option " + std::string(name));
  }
  return options;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  raise_descriptor_limit();
  Client client(options);
  if (options.mode == Options::Mode::idle) {
    client.idle();
  } else {
    client.run();
  }
}
