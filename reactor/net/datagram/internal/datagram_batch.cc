// SPDX-License-Identifier: MIT
#if defined(__APPLE__)
#define __APPLE_USE_RFC_3542  // otherwise IPV6_RECVPKTINFO is hidden
#endif
#include "reactor/net/datagram/internal/datagram_batch.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "reactor/base/internal/poison.h"
#include "reactor/base/internal/send_flags.h"

namespace reactor {

// These types are not in the unnamed namespace, because ReceiveBatch::Buffers and
// SendBatch::Buffers, which can't be in it, have members of these types.
#if defined(__linux__)
using MessageHeader = mmsghdr;
#else
struct MessageHeader {
  msghdr msg_hdr;
  unsigned msg_len;
};
#endif

// OutgoingControl has room for PacketInfo and the size of UDP_SEGMENT.
struct alignas(cmsghdr) OutgoingControl {
  std::array<std::byte, 128> bytes;
};

// IncomingControl is the buffer for control data. It has room for the size that UDP_GRO reports, by
// which joined datagrams are told apart, and for all control data that Linux puts before that size.
// An adopted socket may have options that ask for times, marks and drop counts, which take 200
// bytes. Control data behind the UDP_GRO size may be cut off.
struct alignas(cmsghdr) IncomingControl {
  std::array<std::byte, 256> bytes;
};

namespace {

// The gap behind each message's part of the buffer. Without it, the messages would lie a power of
// two apart, and the first bytes of small datagrams would compete for the same few sets of the
// cache.
constexpr std::size_t kSpacing = 192;
constexpr std::size_t kMaxSegments = 64;  // UDP_MAX_SEGMENTS, as older kernels have it
constexpr std::size_t kMaxJoined = 65000;

bool is_zero(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Returns whether the address is a multicast address, of v6 or of v4 mapped into v6 (RFC 4291
// section 2.7). A reply can't be sent from such an address.
bool is_group(const in6_addr& address) noexcept {
  if (IN6_IS_ADDR_MULTICAST(&address)) return true;
  return IN6_IS_ADDR_V4MAPPED(&address) && (address.s6_addr[12] & 0xf0) == 0xe0;
}

#if defined(IP_PKTINFO)
void read_v4(const cmsghdr* header, PacketInfo& info) noexcept {
  in_pktinfo found{};
  std::memcpy(&found, CMSG_DATA(header), sizeof(found));
  info.family = AF_INET;
  info.interface = static_cast<unsigned>(found.ipi_ifindex);
  std::memcpy(info.destination.data(), &found.ipi_addr, sizeof(in_addr));
  std::memcpy(info.source.data(), &found.ipi_spec_dst, sizeof(in_addr));
}
#endif

#if defined(IPV6_RECVPKTINFO)
void read_v6(const cmsghdr* header, PacketInfo& info) noexcept {
  in6_pktinfo found{};
  std::memcpy(&found, CMSG_DATA(header), sizeof(found));
  info.family = AF_INET6;
  info.interface = static_cast<unsigned>(found.ipi6_ifindex);
  std::memcpy(info.destination.data(), &found.ipi6_addr, sizeof(in6_addr));
  if (!is_group(found.ipi6_addr)) info.source = info.destination;
}
#endif

void read_control(msghdr& header, ReceivedMessage& message) noexcept {
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    const std::size_t size = item->cmsg_len - CMSG_LEN(0);
#if defined(IP_PKTINFO)
    if (item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO &&
        size >= sizeof(in_pktinfo)) {
      read_v4(item, message.info);
    }
#endif
#if defined(IPV6_RECVPKTINFO)
    if (item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO &&
        size >= sizeof(in6_pktinfo) && message.info.family == AF_UNSPEC) {
      read_v6(item, message.info);
    }
#endif
#if defined(UDP_GRO)
    if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_GRO && size >= sizeof(int)) {
      int segment = 0;
      std::memcpy(&segment, CMSG_DATA(item), sizeof(segment));
      message.segment = segment > 0 ? static_cast<std::size_t>(segment) : 0;
    }
#endif
  }
}

// Appends control messages to a buffer that is large enough.
class ControlWriter {
 public:
  explicit ControlWriter(OutgoingControl& control) noexcept : control_(control) {}

  template <class Value>
  void put(int level, int type, const Value& value) noexcept {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof(value));
    header.cmsg_level = level;
    header.cmsg_type = type;
    std::memcpy(control_.bytes.data() + size_, &header, sizeof(header));
    std::memcpy(control_.bytes.data() + size_ + CMSG_LEN(0), &value, sizeof(value));
    size_ += CMSG_SPACE(sizeof(value));
  }
  void attach_to(msghdr& header) const noexcept {
    header.msg_control = size_ > 0 ? control_.bytes.data() : nullptr;
    header.msg_controllen = static_cast<decltype(header.msg_controllen)>(size_);
  }

 private:
  OutgoingControl& control_;
  std::size_t size_ = 0;
};

void put_source(ControlWriter& writer, const PacketInfo& info) noexcept {
  if (info.family == AF_UNSPEC || is_zero(info.source)) return;
#if defined(IP_PKTINFO)
  if (info.family == AF_INET) {
    in_pktinfo wanted{};
    std::memcpy(&wanted.ipi_spec_dst, info.source.data(), sizeof(in_addr));
    writer.put(IPPROTO_IP, IP_PKTINFO, wanted);
  }
#endif
#if defined(IPV6_RECVPKTINFO)
  if (info.family == AF_INET6) {
    in6_pktinfo wanted{};
    std::memcpy(&wanted.ipi6_addr, info.source.data(), sizeof(in6_addr));
    // The same link-local address may exist on every link.
    if (IN6_IS_ADDR_LINKLOCAL(&wanted.ipi6_addr)) wanted.ipi6_ifindex = info.interface;
    writer.put(IPPROTO_IPV6, IPV6_PKTINFO, wanted);
  }
#endif
}

void put_segment(ControlWriter& writer, std::size_t segment) noexcept {
#if defined(UDP_SEGMENT)
  if (segment > 0) writer.put(IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(segment));
#else
  static_cast<void>(writer);
  static_cast<void>(segment);
#endif
}

// recvmmsg(2) and sendmmsg(2) are not used for a single message, because the plain calls are
// cheaper.
int receive_messages(int fd, std::span<MessageHeader> headers) noexcept {
#if defined(__linux__)
  if (headers.size() > 1) {
    const int taken = ::recvmmsg(fd, headers.data(), static_cast<unsigned>(headers.size()),
                                 MSG_DONTWAIT, nullptr);
    return taken >= 0 ? taken : -errno;
  }
#endif
  int count = 0;
  for (MessageHeader& header : headers) {
    const ssize_t size = ::recvmsg(fd, &header.msg_hdr, MSG_DONTWAIT);
    if (size < 0) return count > 0 ? count : -errno;
    header.msg_len = static_cast<unsigned>(size);
    ++count;
  }
  return count;
}

int send_messages(int fd, std::span<MessageHeader> headers) noexcept {
#if defined(__linux__)
  if (headers.size() > 1) {
    const int taken =
        ::sendmmsg(fd, headers.data(), static_cast<unsigned>(headers.size()), kSendNow);
    return taken >= 0 ? taken : -errno;
  }
#endif
  int count = 0;
  for (const MessageHeader& header : headers) {
    if (::sendmsg(fd, &header.msg_hdr, kSendNow) < 0) return count > 0 ? count : -errno;
    ++count;
  }
  return count;
}

}  // namespace

int send_datagram(int fd, const OutgoingMessage& message) noexcept {
  OutgoingControl control{};
  iovec piece{const_cast<std::byte*>(message.bytes.data()), message.bytes.size()};
  msghdr header{};
  header.msg_name = const_cast<sockaddr*>(message.name);
  header.msg_namelen = message.name_size;
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  ControlWriter writer(control);
  put_source(writer, message.info);
  writer.attach_to(header);
  return ::sendmsg(fd, &header, kSendNow) >= 0 ? 0 : errno;
}

void drain_error_queue([[maybe_unused]] int fd) noexcept {
#if defined(__linux__)
  std::byte byte{};
  iovec piece{&byte, 1};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  while (::recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) header.msg_flags = 0;
#endif
}

bool is_network_error(int number) noexcept {
  switch (number) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENETRESET:
    case EMSGSIZE:
    case ENOPROTOOPT:
    case EPROTO:
    case EOPNOTSUPP:
    case ETIMEDOUT:
    case EACCES:
    case EPERM:
      return true;
    default:
      return false;
  }
}

bool is_full(int number) noexcept {
  return number == EAGAIN || number == EWOULDBLOCK || number == EINTR || number == ENOBUFS;
}

struct ReceiveBatch::Buffers {
  std::array<MessageHeader, kMessages> headers{};
  std::array<iovec, kMessages> pieces{};
  std::array<sockaddr_storage, kMessages> names{};
  std::array<IncomingControl, kMessages> controls{};
  // Pages that no datagram reaches are never touched, and so cost no memory.
  std::unique_ptr<std::byte[]> memory{new std::byte[kMessages * (kLargest + kSpacing)]};
};

ReceiveBatch::ReceiveBatch() : buffers_(std::make_unique<Buffers>()) {}
ReceiveBatch::~ReceiveBatch() = default;

void ReceiveBatch::arrange(const Shape& shape) noexcept {
  shape_ = shape;
  const std::size_t all = kMessages * (kLargest + kSpacing);
  const std::size_t size = std::min(shape.size, all);
  const std::size_t step = std::min(size / 64 * 64 + kSpacing, all);
  messages_ = static_cast<unsigned>(std::min<std::size_t>(shape.messages, all / step));
  for (unsigned i = 0; i < messages_; ++i) {
    buffers_->pieces[i] = {buffers_->memory.get() + i * step, size};
    buffers_->headers[i].msg_hdr.msg_iov = &buffers_->pieces[i];
    buffers_->headers[i].msg_hdr.msg_iovlen = 1;
    buffers_->headers[i].msg_hdr.msg_name = &buffers_->names[i];
  }
  used_ = messages_;
}

int ReceiveBatch::receive(int fd, const Shape& shape) noexcept {
  if (!(shape == shape_) || used_ == 0) arrange(shape);
  for (unsigned i = 0; i < used_; ++i) {  // the last call has overwritten these
    msghdr& header = buffers_->headers[i].msg_hdr;
    header.msg_namelen = sizeof(sockaddr_storage);
    // Without room for control data, the kernel closes the descriptors that a unix peer sends
    // (unix(7)).
    header.msg_control = shape_.control ? &buffers_->controls[i] : nullptr;
    header.msg_controllen = shape_.control ? sizeof(IncomingControl) : 0;
    header.msg_flags = 0;
    const iovec& piece = buffers_->pieces[i];
    unpoison({static_cast<std::byte*>(piece.iov_base), piece.iov_len});
  }
  const int count = receive_messages(fd, {buffers_->headers.data(), messages_});
  used_ = static_cast<unsigned>(std::clamp(count, 1, static_cast<int>(kMessages)));
  return count == -EAGAIN || count == -EWOULDBLOCK || count == -EINTR ? 0 : count;
}

ReceivedMessage ReceiveBatch::message(unsigned index) const noexcept {
  MessageHeader& header = buffers_->headers[index];
  ReceivedMessage message;
  message.bytes = {static_cast<std::byte*>(buffers_->pieces[index].iov_base),
                   std::min<std::size_t>(header.msg_len, buffers_->pieces[index].iov_len)};
  message.name = reinterpret_cast<const sockaddr*>(&buffers_->names[index]);
  message.name_size = header.msg_hdr.msg_namelen;
  message.truncated = (header.msg_hdr.msg_flags & MSG_TRUNC) != 0;
  message.control_truncated = (header.msg_hdr.msg_flags & MSG_CTRUNC) != 0;
  if (header.msg_hdr.msg_controllen > 0) read_control(header.msg_hdr, message);
  return message;
}

struct SendBatch::Buffers {
  std::array<MessageHeader, kMessages> headers{};
  std::array<iovec, kMessages> pieces{};
  std::array<sockaddr_storage, kMessages> names{};
  std::array<OutgoingControl, kMessages> controls{};
  std::array<PacketInfo, kMessages> infos{};
  std::array<std::size_t, kMessages> segments{};  // bytes of the first datagram of each message
  std::array<bool, kMessages> complete{};         // nothing can be joined to the message any more
  std::unique_ptr<std::byte[]> memory{new std::byte[kBytes]};
};

SendBatch::SendBatch() : buffers_(std::make_unique<Buffers>()) {}
SendBatch::~SendBatch() = default;

void SendBatch::add(const OutgoingMessage& message, std::size_t segment_limit) noexcept {
  std::byte* const place = buffers_->memory.get() + used_;
  if (!message.bytes.empty()) std::memcpy(place, message.bytes.data(), message.bytes.size());
  used_ += message.bytes.size();
  if (segment_limit > 0 && join(message, segment_limit)) return;
  const unsigned i = count_++;
  buffers_->pieces[i] = {place, message.bytes.size()};
  buffers_->segments[i] = message.bytes.size();
  buffers_->complete[i] = message.bytes.empty() || message.bytes.size() > segment_limit;
  buffers_->infos[i] = message.info;
  msghdr& header = buffers_->headers[i].msg_hdr;
  header.msg_iov = &buffers_->pieces[i];
  header.msg_iovlen = 1;
  header.msg_name = message.name == nullptr ? nullptr : &buffers_->names[i];
  header.msg_namelen = message.name_size;
  header.msg_flags = 0;
  if (message.name != nullptr) std::memcpy(&buffers_->names[i], message.name, message.name_size);
  ControlWriter writer(buffers_->controls[i]);
  put_source(writer, message.info);
  writer.attach_to(header);
}

// Joins the datagram to the last message, if it fits there, and returns whether it did. add() has
// already copied the datagram behind that message's bytes.
bool SendBatch::join(const OutgoingMessage& message, std::size_t segment_limit) noexcept {
  if (count_ == 0 || message.bytes.empty() || message.bytes.size() > segment_limit) return false;
  const unsigned i = count_ - 1;
  msghdr& header = buffers_->headers[i].msg_hdr;
  iovec& piece = buffers_->pieces[i];
  const std::size_t segment = buffers_->segments[i];
  if (buffers_->complete[i] || message.bytes.size() > segment ||
      piece.iov_len + message.bytes.size() > kMaxJoined ||
      piece.iov_len >= segment * kMaxSegments || header.msg_namelen != message.name_size ||
      buffers_->infos[i].family != message.info.family ||
      buffers_->infos[i].source != message.info.source ||
      (message.name_size > 0 &&
       std::memcmp(&buffers_->names[i], message.name, message.name_size) != 0)) {
    return false;
  }
  if (piece.iov_len == segment) {  // this is the second datagram
    ControlWriter writer(buffers_->controls[i]);
    put_source(writer, message.info);
    put_segment(writer, segment);
    writer.attach_to(header);
  }
  piece.iov_len += message.bytes.size();
  buffers_->complete[i] = message.bytes.size() < segment;
  return true;
}

int SendBatch::send(int fd, unsigned first, unsigned count) noexcept {
  return send_messages(fd, {buffers_->headers.data() + first, count});
}

OutgoingMessage SendBatch::message(unsigned index) const noexcept {
  const msghdr& header = buffers_->headers[index].msg_hdr;
  const iovec& piece = buffers_->pieces[index];
  return {{static_cast<const std::byte*>(piece.iov_base), piece.iov_len},
          static_cast<const sockaddr*>(header.msg_name),
          header.msg_namelen,
          buffers_->infos[index]};
}

std::size_t SendBatch::segment(unsigned index) const noexcept { return buffers_->segments[index]; }

std::size_t SendBatch::datagrams(unsigned index) const noexcept {
  const std::size_t segment = buffers_->segments[index];
  return segment == 0 ? 1 : (buffers_->pieces[index].iov_len + segment - 1) / segment;
}

}  // namespace reactor
