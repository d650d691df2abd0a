// SPDX-License-Identifier: MIT
// This file has the part of Datagram that opens, receives and calls back. datagram_send.cc has the
// part that sends.
//
//   on_ready() --> receive_batch() --> the loop's DatagramExchange --> deliver() --> on_datagram()
//                                                  ^                      | a handler threw
//                                                  '------ on_call() <----'
//
// The DatagramExchange keeps the received batch, and the position up to which it was delivered. So
// if a handler throws, the rest is delivered when the loop runs again, before anything else is
// received.
//
// on_call() also sends collected datagrams (soon()). on_expire() tries again to receive or send
// after the kernel refused (retry_at()).
#include "reactor/net/datagram/datagram.h"

#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "reactor/base/internal/poison.h"
#include "reactor/net/datagram/internal/datagram_exchange.h"
#include "reactor/net/datagram/internal/datagram_queue.h"
#include "reactor/net/datagram/internal/datagram_shares.h"
#include "reactor/net/datagram/internal/datagram_socket.h"
#include "reactor/net/datagram/internal/multicast.h"
#include "reactor/net/internal/net_context.h"

namespace reactor {
namespace {

constexpr std::size_t kMaxSize = 4 << 20;

// The most messages of a batch if the kernel joins datagrams (UDP_GRO). It is small because each
// message may then hold many datagrams.
constexpr unsigned kCoalescedMessages = 32;

Address make_v4(std::span<const std::byte> bytes, std::uint16_t port) noexcept {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, bytes.data(), sizeof(address.sin_addr));
  return Address::from(reinterpret_cast<const sockaddr*>(&address), sizeof(address))
      .with_port(port);
}

Address make_v6(const PacketInfo& info, std::uint16_t port) noexcept {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::memcpy(&address.sin6_addr, info.destination.data(), sizeof(address.sin6_addr));
  if (IN6_IS_ADDR_LINKLOCAL(&address.sin6_addr)) address.sin6_scope_id = info.interface;
  return Address::from(reinterpret_cast<const sockaddr*>(&address), sizeof(address))
      .with_port(port);
}

// Returns whether `address` names a socket. For a unix socket without a name, the kernel gives only
// the family, or the family and zeros.
bool has_name(const Address& address) noexcept {
  if (!address.is_unix()) return address.family() != AF_UNSPEC;
  const std::string_view bytes(reinterpret_cast<const char*>(address.data()), address.size());
  return bytes.find_first_not_of('\0', offsetof(sockaddr_un, sun_path)) != bytes.npos;
}

}  // namespace

DatagramExchange& DatagramExchange::of(Loop& loop) {
  NetContext& context = NetContext::of(loop);
  if (context.datagrams == nullptr) context.datagrams = std::make_unique<DatagramExchange>();
  return static_cast<DatagramExchange&>(*context.datagrams);
}

bool Message::control_truncated() const noexcept { return received_->control_truncated; }

Address Message::from() const noexcept {
  return Address::from(received_->name, received_->name_size);
}

Address Message::local() const noexcept {
  const std::uint16_t port = socket_->address().port();
  if (received_->info.family == AF_INET) return make_v4(received_->info.destination, port);
  if (received_->info.family == AF_INET6) return make_v6(received_->info, port);
  return socket_->address();
}

// The kernel gives the address from which a reply would leave (PacketInfo::source). It differs from
// the destination if the destination stands for several hosts (a group or broadcast address).
bool Message::unicast() const noexcept {
  const PacketInfo& info = received_->info;
  if (info.family == AF_UNSPEC) return !socket_->tells_local_;
  return info.source == info.destination;
}

void DatagramHandler::on_batch_end(Datagram&) {}
void DatagramHandler::on_drain(Datagram&) {}
void DatagramHandler::on_error(Datagram&, std::error_code) {}

Datagram::Datagram(Loop& loop, Socket socket, SocketFile file, DatagramHandler& handler,
                   Address address, const DatagramOptions& options, SourceLocation where)
    : PollTarget(socket.fd()),
      loop_(&loop),
      exchange_(&DatagramExchange::of(loop)),
      handler_(&handler),
      socket_(std::move(socket)),
      address_(std::move(address)),
      peer_(socket_.peer().value_or(Address())),
      file_(std::move(file)),
      where_(where),
      max_size_(std::clamp(options.max_size, std::size_t{1}, kMaxSize)),
      queue_limit_(options.queue_limit),
      receiver_limit_(options.receiver_limit),
      receiver_patience_(options.receiver_patience),
      batches_(options.batches) {
  const DatagramTraits traits = equip_datagram_socket(fd(), address_, options);
  tells_local_ = traits.tells_local;
  coalesces_ = traits.coalesces;
  keeps_errors_ = traits.keeps_errors;
  segment_limit_ = traits.segments && batches_ ? kMaxSize : 0;
}

Result<std::unique_ptr<Datagram>> Datagram::bind(Loop& loop, const Address& local,
                                                 DatagramHandler& handler,
                                                 const DatagramOptions& options,
                                                 SourceLocation where) {
  Result<Socket> socket = open_datagram_socket(local, {}, options);
  if (!socket) return socket.error();
  return make(loop, std::move(*socket), SocketFile(local), handler, options, where);
}

Result<std::unique_ptr<Datagram>> Datagram::connect(Loop& loop, const Address& peer,
                                                    DatagramHandler& handler,
                                                    const DatagramOptions& options,
                                                    SourceLocation where) {
  Result<Socket> socket = open_datagram_socket(options.local, peer, options);
  if (!socket) return socket.error();
  return make(loop, std::move(*socket), SocketFile(options.local), handler, options, where);
}

Result<std::unique_ptr<Datagram>> Datagram::adopt(Loop& loop, Socket socket,
                                                  DatagramHandler& handler,
                                                  const DatagramOptions& options, bool remove_file,
                                                  SourceLocation where) {
  SocketFile file;
  if (remove_file) {
    if (const Result<Address> address = socket.local(); address) file.take(*address);
  }
  if (Result<> result = adopt_datagram_socket(socket.fd()); !result) return result.error();
  return make(loop, std::move(socket), std::move(file), handler, options, where);
}

Result<std::unique_ptr<Datagram>> Datagram::make(Loop& loop, Socket socket, SocketFile file,
                                                 DatagramHandler& handler,
                                                 const DatagramOptions& options,
                                                 SourceLocation where) {
  const Result<Address> address = socket.local();
  if (!address) return address.error();
  std::unique_ptr<Datagram> datagram(
      new Datagram(loop, std::move(socket), std::move(file), handler, *address, options, where));
  if (Result<> result = loop.attach(*datagram, Interest::read); !result) return result.error();
  return datagram;
}

Datagram::~Datagram() {
  if (entry_ != nullptr) entry_->forget();
  if (attached() || armed()) {  // otherwise the loop may be gone already
    if (exchange_->delivery.socket == this) exchange_->delivery.socket = nullptr;
    if (exchange_->collector == this) send_collected();
    loop_->detach(*this, Detach::staying);  // a prefork master may hold a copy of the descriptor
    loop_->disarm(*this);
  }
}

void Datagram::on_ready(Ready ready) {
  Entry entry(*this);
  if (ready.writable() && queue_ != nullptr && !writing_waits_) send_queued();
  if (ready.readable() && !paused_ && !reading_waits_) receive_batch(entry);
  if (entry.alive()) report(entry);
}

void Datagram::on_expire() { proceed(); }
void Datagram::on_call() { proceed(); }

// Callbacks come last, because they may throw.
void Datagram::proceed() {
  Entry entry(*this);
  reading_waits_ = writing_waits_ = false;
  if (exchange_->collector == this) send_collected();
  if (queue_ != nullptr) send_queued();
  update_interest();
  if (exchange_->delivery.socket == this) deliver(entry);
  if (entry.alive()) report(entry);
}

// Receives by one system call in a turn. If batches are off, receives up to ReceiveBatch::kMessages
// datagrams in a turn, one by one (G10).
void Datagram::receive_batch(Entry& entry) {
  DatagramExchange::Delivery& delivery = exchange_->delivery;
  if (delivery.socket != nullptr) {  // an exception left this batch
    Datagram& other = *delivery.socket;
    if (&other == this) return deliver(entry);
    Entry its_entry(other);
    other.deliver(its_entry);
    if (!entry.alive() || paused_) return;
  }
  ReceiveBatch::Shape shape;
  shape.size = coalesces_ ? ReceiveBatch::kLargest : max_size_;
  shape.messages = !batches_ ? 1 : coalesces_ ? kCoalescedMessages : ReceiveBatch::kMessages;
  shape.control = tells_local_ || coalesces_;
  const unsigned rounds = batches_ ? 1 : ReceiveBatch::kMessages;
  for (unsigned round = 0; round < rounds && entry.alive() && !paused_; ++round) {
    const int count = exchange_->incoming.receive(fd(), shape);
    ++stats_.receive_calls;
    if (count <= 0) {
      if (count < 0 || round == 0) receive_failed(-count);
      return;
    }
    delivery = {this, 0, static_cast<unsigned>(count), 0};
    deliver(entry);
  }
}

// Delivers the rest of the batch, and then sends the datagrams that the handlers have passed to
// send() meanwhile.
void Datagram::deliver(Entry& entry) {
  // If a handler throws, the collected datagrams are still sent, and the rest of the batch is still
  // delivered.
  struct Batch {
    explicit Batch(DatagramExchange& all) noexcept : exchange(all) { exchange.in_batch = true; }
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch() {
      exchange.in_batch = false;
      if (exchange.collector != nullptr) exchange.collector->soon();
      if (exchange.delivery.socket != nullptr) exchange.delivery.socket->soon();
    }
    DatagramExchange& exchange;
  } batch(*exchange_);

  DatagramExchange& exchange = *exchange_;
  DatagramExchange::Delivery& delivery = exchange.delivery;
  while (entry.alive() && delivery.next < delivery.count) {
    const ReceivedMessage received = exchange.incoming.message(delivery.next);
    do deliver_one(received);
    while (entry.alive() && delivery.offset > 0);
  }
  if (!entry.alive()) return exchange.flush();
  delivery.socket = nullptr;
  handler_->on_batch_end(*this);
  exchange.flush();
}

void Datagram::deliver_one(const ReceivedMessage& received) {
  DatagramExchange::Delivery& delivery = exchange_->delivery;
  const std::size_t left = received.bytes.size() - delivery.offset;
  const std::size_t whole = received.segment == 0 ? left : std::min(left, received.segment);
  std::span<std::byte> bytes = received.bytes.subspan(delivery.offset, whole);
  delivery.offset += whole;
  if (delivery.offset == received.bytes.size()) ++delivery.next, delivery.offset = 0;
  if (is_stranger(received)) return;
  const bool truncated = bytes.size() > max_size_ || received.truncated;
  if (bytes.size() > max_size_) bytes = bytes.first(max_size_);
  ++stats_.received;
  if (truncated) ++stats_.truncated;
  if (received.control_truncated) ++stats_.control_truncated;
  const PoisonAtExit lent(bytes);
  handler_->on_datagram(*this, Message(*this, received, bytes, truncated));
}

// Handles a receive that returned no datagram. `number` is the errno. It is 0 if no datagram was
// there in spite of the event: another process that shares the socket was faster, or the error
// queue caused the event.
void Datagram::receive_failed(int number) {
  if (number == 0 && keeps_errors_) return drain_error_queue(fd());
  if (number == 0) return;
  note_error(number);
  if (is_network_error(number)) return;  // this receive has cleared the error
  reading_waits_ = true;
  retry_at(saturating_add(loop_->now(), kRetryDelay));
}

void Datagram::report(Entry& entry) {
  if (error_) {
    handler_->on_error(*this, std::exchange(error_, {}));
    if (!entry.alive()) return;
  }
  if (std::exchange(drained_, false) && queue_ == nullptr) handler_->on_drain(*this);
}

void Datagram::note_error(int number) {
  ++stats_.errors;
  if (!error_) error_ = system_error(number);
  if (entry_ == nullptr) soon();
}

void Datagram::soon() {
  const bool called = armed() && deadline() == TimePoint::min();
  if (!called) loop_->call_soon(*this);
}

void Datagram::retry_at(TimePoint time) {
  if (!armed() || deadline() > time) loop_->arm(*this, time);
  update_interest();
}

void Datagram::update_interest() {
  const bool reads = !paused_ && !reading_waits_;
  const bool writes = queue_ != nullptr && !writing_waits_ && queue_->awaits_own_buffer();
  const Interest interest =
      (reads ? Interest::read : Interest::none) | (writes ? Interest::write : Interest::none);
  // An error needs no work here. If other code has closed the descriptor, there are no more events
  // (G8). If the kernel has no memory now, the loop tries again.
  static_cast<void>(loop_->set_interest(*this, interest));
}

void Datagram::pause_reading() {
  paused_ = true;
  update_interest();
}

void Datagram::resume_reading() {
  paused_ = false;
  update_interest();
}

bool Datagram::is_peer(const sockaddr* name, socklen_t size) const noexcept {
  return peer_.family() != AF_UNSPEC && Address::from(name, size) == peer_;
}

// Returns whether the datagram is from another sender than the peer of this connected socket. Such
// a datagram arrived before connect(2), which does not empty the queue. Returns false if the peer
// has no name, because the peer may get one later.
bool Datagram::is_stranger(const ReceivedMessage& received) const noexcept {
  return has_name(peer_) && !is_peer(received.name, received.name_size);
}

HandleInfo Datagram::describe() const noexcept { return {"datagram", fd(), {}, where_}; }

Result<> Datagram::join(const Address& group, unsigned interface) {
  return multicast::join(fd(), group, interface);
}
Result<> Datagram::join(const Address& group, const Address& interface) {
  return multicast::join(fd(), group, interface);
}
Result<> Datagram::leave(const Address& group, unsigned interface) {
  return multicast::leave(fd(), group, interface);
}
Result<> Datagram::leave(const Address& group, const Address& interface) {
  return multicast::leave(fd(), group, interface);
}
Result<> Datagram::set_multicast_interface(unsigned interface) {
  return multicast::set_interface(fd(), address_.family(), interface);
}
Result<> Datagram::set_multicast_interface(const Address& interface) {
  return multicast::set_interface(fd(), interface);
}
Result<> Datagram::set_multicast_loop(bool on) {
  return multicast::set_loop(fd(), address_.family(), on);
}
Result<> Datagram::set_multicast_ttl(int hops) {
  return multicast::set_hops(fd(), address_.family(), hops);
}
Result<> Datagram::set_broadcast(bool on) { return multicast::set_broadcast(fd(), on); }

}  // namespace reactor
