// SPDX-License-Identifier: MIT
// The floor measures the cost of the kernel alone on this machine. It is a level-triggered epoll
// server without features, which makes as few system calls and reads as little of the input as
// possible.
//
// usage: floor MODE [PORT]      prints "listening on ADDRESS:PORT"; PORT 0, the default, picks one
//   http        a constant answer for each blank line; closes after "Connection: close"
//   http-eager  the same for one request per connection: TCP_DEFER_ACCEPT, recv(2) right after
//               accept4(2), and a connection enters the epoll set only if it goes on
//   echo        sends back the bytes that came
// A client that does not read its answers stalls the server, so this is not a real server.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
    "Content-Length: 3\r\n\r\nOK\n";
constexpr std::string_view kLastWord = "Connection: close\r\n\r\n";
constexpr std::size_t kBufferSize = 65536;
constexpr std::size_t kLargestBatch = 1024;
constexpr std::size_t kLanes = 16;

// Counts blank lines: a "\n" with another "\n" two bytes later. Looks at sixteen bytes at a time.
// `text` must be followed by zeros for two such steps.
std::size_t count_blank_lines(const char* text, std::size_t size) {
  using Lanes [[gnu::vector_size(kLanes)]] = signed char;
  constexpr std::size_t kStepsBeforeOverflow = 100;
  std::size_t count = 0;
  for (std::size_t at = 0; at < size;) {
    Lanes found{};
    for (std::size_t step = 0; step < kStepsBeforeOverflow && at < size; ++step, at += kLanes) {
      Lanes here;
      Lanes later;
      __builtin_memcpy(&here, text + at, kLanes);
      __builtin_memcpy(&later, text + at + 2, kLanes);
      found -= (here == '\n') & (later == '\n');
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      count += static_cast<std::size_t>(found[lane]);
    }
  }
  return count;
}

class Floor {
 public:
  Floor(bool echo, bool eager) : echo_(echo), eager_(eager) {
    for (std::size_t i = 0; i < kLargestBatch; ++i) answers_ += kAnswer;
  }

  bool listen(std::uint16_t port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    // Accepted sockets inherit TCP_NODELAY.
    ::setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (eager_) ::setsockopt(listener_, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, SOMAXCONN) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
      return false;
    }
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    watch(listener_);
    std::printf("listening on 0.0.0.0:%d\nready\n", ntohs(address.sin_port));
    std::fflush(stdout);
    return epoll_ >= 0;
  }

  void run() {
    std::array<epoll_event, 512> events;
    for (;;) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_) {
          accept();
        } else {
          serve(fd);
        }
      }
    }
  }

 private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (eager_ && !serve(fd)) return;
    watch(fd);
  }

  // Returns false if the connection was closed.
  bool serve(int fd) {
    const ssize_t received = ::recv(fd, buffer_.data(), kBufferSize, 0);
    if (received < 0 && errno == EAGAIN) return true;
    if (received <= 0) {
      ::close(fd);
      return false;
    }
    const auto size = static_cast<std::size_t>(received);
    if (echo_) {
      send_all(fd, buffer_.data(), size);
      return true;
    }
    for (std::size_t i = 0; i < 2 * kLanes; ++i) buffer_[size + i] = 0;
    const std::size_t requests = count_blank_lines(buffer_.data(), size);
    if (requests > 0) send_all(fd, answers_.data(), requests * kAnswer.size());
    if (requests != 1 || !std::string_view(buffer_.data(), size).ends_with(kLastWord)) return true;
    ::close(fd);
    return false;
  }

  static void send_all(int fd, const char* data, std::size_t size) {
    while (size > 0) {
      const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return;
      if (sent <= 0) continue;
      data += sent;
      size -= static_cast<std::size_t>(sent);
    }
  }

  bool echo_;
  bool eager_;
  int listener_ = -1;
  int epoll_ = -1;
  std::string answers_;
  std::array<char, kBufferSize + 2 * kLanes> buffer_{};
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode != "http" && mode != "http-eager" && mode != "echo") {
    std::fprintf(stderr, "usage: %s http|http-eager|echo [PORT]\n", argv[0]);
    return 2;
  }
  Floor floor(mode == "echo", mode == "http-eager");
  if (!floor.listen(static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0))) {
    std::perror("floor");
    return 1;
  }
  floor.run();
}
