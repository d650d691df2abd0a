// SPDX-License-Identifier: MIT
// The system's calls that move datagrams, many in one call where there is such a call. Private to
// net/. Nothing here logs or throws, and nothing but the constructors allocates.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace reactor {

// Where a datagram came in, by which a reply can leave from there (ip(7) IP_PKTINFO, ipv6(7)).
struct PacketInfo {
  int family = AF_UNSPEC;  // AF_INET or AF_INET6, whose addresses follow; else nothing is known
  unsigned interface = 0;
  std::array<std::byte, 16> destination{};  // in the header: may be a group or a broadcast
  std::array<std::byte, 16> source{};       // an address of this host; all zero: any
};

// One message of the kernel's: a datagram, or several of one sender in one piece (UDP_GRO).
struct ReceivedMessage {
  std::span<std::byte> bytes;
  std::size_t segment = 0;  // octets of each datagram in it but the last; 0: it is one
  const sockaddr* name = nullptr;
  socklen_t name_size = 0;
  bool truncated = false;
  bool control_truncated = false;  // MSG_CTRUNC: `segment` and `info` may be incomplete
  PacketInfo info;
};

struct OutgoingMessage {
  std::span<const std::byte> bytes;
  const sockaddr* name = nullptr;  // null: to whom the socket is connected
  socklen_t name_size = 0;
  PacketInfo info;  // AF_UNSPEC: from the address that the system chooses
};

// Sends one; gives 0 or an errno.
[[nodiscard]] int send_datagram(int fd, const OutgoingMessage& message) noexcept;

// Empties the queue of errors of a socket that was set up to have one (ip(7) IP_RECVERR): the
// poller reports it until then.
void drain_error_queue(int fd) noexcept;

// Whether an error is about the network or the peer, and often about an earlier datagram than the
// one at hand (udp(7)), so that the socket goes on.
[[nodiscard]] bool is_network_error(int number) noexcept;
// The kernel has no room right now.
[[nodiscard]] bool is_full(int number) noexcept;

// Room to receive many messages by one recvmmsg(2), or by recvmsg(2) where there is no such call.
class ReceiveBatch {
 public:
  static constexpr unsigned kMessages = 64;
  static constexpr std::size_t kLargest = 64 * 1024;  // of which there is room for kMessages

  struct Shape {
    std::size_t size = kLargest;  // octets of room for each
    unsigned messages = kMessages;
    bool control = false;  // PacketInfo and `segment` are wanted
    friend bool operator==(const Shape&, const Shape&) = default;
  };

  ReceiveBatch();
  ~ReceiveBatch();
  ReceiveBatch(const ReceiveBatch&) = delete;
  ReceiveBatch& operator=(const ReceiveBatch&) = delete;

  // How many came, 0 for none, or a negative errno. What came before is gone.
  [[nodiscard]] int receive(int fd, const Shape& shape) noexcept;
  [[nodiscard]] ReceivedMessage message(unsigned index) const noexcept;

 private:
  void arrange(const Shape& shape) noexcept;

  struct Slots;
  std::unique_ptr<Slots> slots_;
  Shape shape_;  // as it was asked for
  unsigned messages_ = 0, used_ = 0;
};

// Collects datagrams of one socket, which leave by one sendmmsg(2). Datagrams of one size to one
// receiver become one message that the kernel, or the card, cuts up again (UDP_SEGMENT).
class SendBatch {
 public:
  static constexpr unsigned kMessages = 64;
  static constexpr std::size_t kBytes = 256 * 1024;

  SendBatch();
  ~SendBatch();
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  [[nodiscard]] bool fits(std::size_t octets) const noexcept {
    return count_ < kMessages && used_ + octets <= kBytes;
  }
  // Copies what fits(). Datagrams up to `segment_limit` octets may be joined; 0: none.
  void add(const OutgoingMessage& message, std::size_t segment_limit) noexcept;

  [[nodiscard]] unsigned size() const noexcept { return count_; }
  void clear() noexcept { count_ = 0, used_ = 0; }

  // Sends up to `count` messages from `first` on; how many went, or a negative errno.
  [[nodiscard]] int send(int fd, unsigned first, unsigned count) noexcept;
  // What message `index` is; its datagrams are of segment() octets, but the last.
  [[nodiscard]] OutgoingMessage message(unsigned index) const noexcept;
  [[nodiscard]] std::size_t segment(unsigned index) const noexcept;
  [[nodiscard]] std::size_t datagrams(unsigned index) const noexcept;

 private:
  bool join(const OutgoingMessage& message, std::size_t segment_limit) noexcept;

  struct Slots;
  std::unique_ptr<Slots> slots_;
  unsigned count_ = 0;
  std::size_t used_ = 0;
};

}  // namespace reactor
