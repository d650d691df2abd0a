// SPDX-License-Identifier: MIT
// The load client for datagrams is a closed loop in one thread that spins. Its sockets are
// connected. Each socket sends a burst, and sends the next one when all datagrams of the burst have
// come back. Datagrams that do not come back within 0.1 s count as lost.
//
// usage: udp_load PORT [OPTION...]
//   -c N  sockets (16)   -d N  datagrams per burst (1)   -s N  bytes of each datagram (64)
//   -t S  seconds to measure (1)     -w S  seconds of warm-up (0.1)
//   --take-joined  answers may come in one piece (UDP_GRO); without it the kernel would charge the
//                  server for cutting them up, because client and server run on one host
//   --joined       bursts leave in one piece too (UDP_SEGMENT)
// Prints "start" and "stop" around the measured time, and one line of JSON: rate, answers, lost.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kMaxBurst = 64;
constexpr std::uint64_t kPatience = 100'000'000;

std::uint64_t nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

struct Options {
  std::uint16_t port = 0;
  std::size_t sockets = 16, burst = 1, size = 64;
  double seconds = 1, warm_up = 0.1;
  bool joined = false, take_joined = false;
};

struct Flow {
  int fd = -1;
  std::size_t to_come = 0;  // bytes
  std::uint64_t since = 0;
};

class Client {
 public:
  explicit Client(const Options& options)
      : options_(options), burst_(options.burst * options.size, 'x'), flows_(options.sockets) {
    for (Flow& flow : flows_) flow.fd = open();
    for (std::size_t i = 0; i < kMaxBurst; ++i) {
      in_[i] = {room_.data() + i * 65536, 65536};
      out_[i] = {burst_.data() + (i < options.burst ? i * options.size : 0), options.size};
      received_[i].msg_hdr.msg_iov = &in_[i];
      sent_[i].msg_hdr.msg_iov = &out_[i];
      received_[i].msg_hdr.msg_iovlen = sent_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void run() {
    run_for(options_.warm_up);
    bytes_ = lost_ = 0;
    mark("start");
    const std::uint64_t begin = nanoseconds();
    run_for(options_.seconds);
    const double took = static_cast<double>(nanoseconds() - begin) / 1e9;
    mark("stop");
    const std::uint64_t answers = bytes_ / options_.size;
    std::printf("{\"rate\": %.0f, \"answers\": %llu, \"lost\": %llu}\n",
                static_cast<double>(answers) / took, static_cast<unsigned long long>(answers),
                static_cast<unsigned long long>(lost_ / options_.size));
  }

 private:
  int open() const {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(options_.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int size = static_cast<int>(options_.size);
    const int on = 1;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
        (options_.joined && ::setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) != 0) ||
        (options_.take_joined && ::setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0)) {
      std::perror("udp_load");
      std::exit(1);
    }
    return fd;
  }

  void send_burst(Flow& flow) {
    if (options_.joined) {
      static_cast<void>(::send(flow.fd, burst_.data(), burst_.size(), 0));
    } else {
      ::sendmmsg(flow.fd, sent_.data(), static_cast<unsigned>(options_.burst), 0);
    }
    flow.to_come = burst_.size();
    flow.since = now_;
  }

  void receive(Flow& flow) {
    const int count = ::recvmmsg(flow.fd, received_.data(), kMaxBurst, 0, nullptr);
    std::size_t came = 0;
    for (int i = 0; i < count; ++i) came += received_[static_cast<std::size_t>(i)].msg_len;
    bytes_ += came;
    flow.to_come -= came < flow.to_come ? came : flow.to_come;
    if (flow.to_come > 0 && now_ - flow.since < kPatience) return;
    lost_ += flow.to_come;
    send_burst(flow);
  }

  void run_for(double seconds) {
    now_ = nanoseconds();
    const std::uint64_t end = now_ + static_cast<std::uint64_t>(seconds * 1e9);
    for (; now_ < end; now_ = nanoseconds()) {
      for (Flow& flow : flows_) receive(flow);
    }
  }

  static void mark(const char* word) {
    std::puts(word);
    std::fflush(stdout);
  }

  const Options& options_;
  std::vector<char> burst_;
  std::vector<Flow> flows_;
  std::vector<char> room_ = std::vector<char>(kMaxBurst * 65536);
  std::array<iovec, kMaxBurst> in_{}, out_{};
  std::array<mmsghdr, kMaxBurst> received_{}, sent_{};
  std::uint64_t now_ = 0, bytes_ = 0, lost_ = 0;
};

Options read_options(int argc, char** argv) {
  Options options;
  if (argc > 1) options.port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  for (int i = 2; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--joined" || name == "--take-joined") {
      options.take_joined = true;
      options.joined |= name == "--joined";
      continue;
    }
    const char* const value = ++i < argc ? argv[i] : "";
    const std::size_t number = std::strtoull(value, nullptr, 10);
    if (name == "-c") options.sockets = number;
    if (name == "-d") options.burst = number;
    if (name == "-s") options.size = number;
    if (name == "-t") options.seconds = std::strtod(value, nullptr);
    if (name == "-w") options.warm_up = std::strtod(value, nullptr);
  }
  if (options.port == 0 || options.burst == 0 || options.burst > kMaxBurst || options.size == 0) {
    std::fprintf(stderr, "udp_load: the head of udp_load.cc tells the usage\n");
    std::exit(2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  Client(options).run();
}
