// SPDX-License-Identifier: MIT
// These types wrap the system calls that receive and send datagrams: many datagrams in one call on
// systems that can do that. Nothing here logs or throws, and only the constructors allocate.
// Private to net/.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace reactor {

// PacketInfo has the local addresses of a datagram, so that a reply can leave from the same address
// (ip(7) IP_PKTINFO, ipv6(7)).
struct PacketInfo {
  int family = AF_UNSPEC;  // AF_INET, AF_INET6, or AF_UNSPEC: nothing is known
  unsigned interface = 0;
  std::array<std::byte, 16> destination{};  // from the header; may be a group or broadcast address
  std::array<std::byte, 16> source{};       // an address of this host to reply from; all zero: any
};

// ReceivedMessage is one message from the kernel: a datagram, or several datagrams of one sender
// that the kernel has joined (UDP_GRO).
struct ReceivedMessage {
  std::span<std::byte> bytes;
  std::size_t segment = 0;  // bytes of each datagram except the last; 0: there is only one
  const sockaddr* name = nullptr;
  socklen_t name_size = 0;
  bool truncated = false;
  bool control_truncated = false;  // MSG_CTRUNC: `segment` and `info` may be incomplete
  PacketInfo info;
};

struct OutgoingMessage {
  std::span<const std::byte> bytes;
  const sockaddr* name = nullptr;  // null: the peer of a connected socket
  socklen_t name_size = 0;
  PacketInfo info;  // AF_UNSPEC: the system chooses the source
};

// Sends one datagram. Returns 0 or an errno.
[[nodiscard]] int send_datagram(int fd, const OutgoingMessage& message) noexcept;

// Empties the error queue of a socket that has one (ip(7) IP_RECVERR). Until the queue is empty,
// the poller keeps reporting the socket.
void drain_error_queue(int fd) noexcept;

// Returns whether an error is about the network or the peer. Often an earlier datagram has caused
// such an error (udp(7)). The socket still works after it.
[[nodiscard]] bool is_network_error(int number) noexcept;
// Returns whether an error means that the kernel has no room now.
[[nodiscard]] bool is_full(int number) noexcept;

// ReceiveBatch has buffers to receive many messages by one recvmmsg(2), or on other systems by
// several calls of recvmsg(2).
class ReceiveBatch {
 public:
  static constexpr unsigned kMessages = 64;
  static constexpr std::size_t kLargest = 64 * 1024;  // kMessages messages of this size fit

  struct Shape {
    std::size_t size = kLargest;  // bytes of room for each message
    unsigned messages = kMessages;
    bool control = false;  // whether PacketInfo and `segment` are wanted
    friend bool operator==(const Shape&, const Shape&) = default;
  };

  ReceiveBatch();
  ~ReceiveBatch();
  ReceiveBatch(const ReceiveBatch&) = delete;
  ReceiveBatch& operator=(const ReceiveBatch&) = delete;

  // Receives messages, which replace the ones received before. Returns how many arrived, 0 for
  // none, or a negative errno.
  [[nodiscard]] int receive(int fd, const Shape& shape) noexcept;
  [[nodiscard]] ReceivedMessage message(unsigned index) const noexcept;

 private:
  void arrange(const Shape& shape) noexcept;

  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
  Shape shape_;  // as the caller asked for
  unsigned messages_ = 0, used_ = 0;
};

// SendBatch collects datagrams of one socket, and sends them by one sendmmsg(2). Datagrams of one
// size to one receiver become one message, which the kernel or the network card cuts up again
// (UDP_SEGMENT).
class SendBatch {
 public:
  static constexpr unsigned kMessages = 64;
  static constexpr std::size_t kBytes = 256 * 1024;

  SendBatch();
  ~SendBatch();
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  [[nodiscard]] bool fits(std::size_t size) const noexcept {
    return count_ < kMessages && used_ + size <= kBytes;
  }
  // Copies a datagram, for which fits() must be true. Datagrams of up to `segment_limit` bytes may
  // be joined; 0: no datagram may.
  void add(const OutgoingMessage& message, std::size_t segment_limit) noexcept;

  [[nodiscard]] unsigned size() const noexcept { return count_; }
  void clear() noexcept { count_ = 0, used_ = 0; }

  // Sends up to `count` messages from `first` on. Returns how many were sent, or a negative errno.
  [[nodiscard]] int send(int fd, unsigned first, unsigned count) noexcept;
  // These functions return message `index`, the size of its datagrams (the last one may be
  // shorter), and their number.
  [[nodiscard]] OutgoingMessage message(unsigned index) const noexcept;
  [[nodiscard]] std::size_t segment(unsigned index) const noexcept;
  [[nodiscard]] std::size_t datagrams(unsigned index) const noexcept;

 private:
  bool join(const OutgoingMessage& message, std::size_t segment_limit) noexcept;

  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
  unsigned count_ = 0;
  std::size_t used_ = 0;
};

}  // namespace reactor
