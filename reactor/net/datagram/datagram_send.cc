// SPDX-License-Identifier: MIT
// This file has the part of Datagram that sends. A datagram takes up to three steps: it is
// collected in the loop's DatagramExchange, sent with others by one system call, and queued in the
// Datagram only if the kernel has no room.
//
//   send() -> SendBatch --send_collected()--> the kernel
//     |                     | refused: send_one_by_one(), each datagram once more, not joined
//     |                     v no room
//     '----------------> Queue --send_queued()--> the kernel
//       the receiver
//       has to wait
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "reactor/base/internal/fork_count.h"
#include "reactor/net/datagram/datagram.h"
#include "reactor/net/datagram/internal/datagram_exchange.h"
#include "reactor/net/datagram/internal/datagram_queue.h"
#include "reactor/net/datagram/internal/datagram_shares.h"

namespace reactor {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) noexcept {
  return std::as_bytes(std::span(text));
}

PacketInfo leaving_from(const Address& from) noexcept {
  PacketInfo info;
  if (from.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from.data(), sizeof(v4));
    std::memcpy(info.source.data(), &v4.sin_addr, sizeof(v4.sin_addr));
  } else if (from.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, from.data(), sizeof(v6));
    std::memcpy(info.source.data(), &v6.sin6_addr, sizeof(v6.sin6_addr));
    info.interface = v6.sin6_scope_id;
  } else {
    return info;
  }
  info.family = from.family();
  return info;
}

// Returns whether the error may mean that the source is not an address of this host. The error
// number depends on the kernel's version.
bool may_be_the_source(int number, const OutgoingMessage& message) noexcept {
  return message.info.family != AF_UNSPEC &&
         (number == EINVAL || number == EADDRNOTAVAIL || number == ENETUNREACH);
}

}  // namespace

void DatagramExchange::flush() {
  if (collector != nullptr) collector->send_collected();
}

void Datagram::send(std::span<const std::byte> bytes) {
  send(OutgoingMessage{bytes, nullptr, 0, {}});
}

void Datagram::send(std::string_view text) { send(bytes_of(text)); }

void Datagram::send_to(std::span<const std::byte> bytes, const Address& to) {
  send_named({bytes, to.data(), to.size(), {}});
}

void Datagram::send_to(std::string_view text, const Address& to) { send_to(bytes_of(text), to); }

void Datagram::send_to(std::span<const std::byte> bytes, const Address& to, const Address& from) {
  send_named({bytes, to.data(), to.size(), tells_local_ ? leaving_from(from) : PacketInfo{}});
}

void Datagram::reply(const Message& message, std::span<const std::byte> bytes) {
  const ReceivedMessage& received = *message.received_;
  send_named({bytes, received.name, received.name_size, received.info});
}

void Datagram::reply(const Message& message, std::string_view text) {
  reply(message, bytes_of(text));
}

void Datagram::flush() {
  if (exchange_->collector == this) send_collected();
}

std::size_t Datagram::queued() const noexcept { return queue_ == nullptr ? 0 : queue_->cost; }

// Leaves out the peer's name, because the BSDs refuse every name on a connected socket (EISCONN,
// send(2)).
void Datagram::send_named(OutgoingMessage message) {
  if (is_peer(message.name, message.name_size)) message.name = nullptr, message.name_size = 0;
  send(message);
}

void Datagram::send(const OutgoingMessage& message) {
  DatagramExchange& exchange = *exchange_;
  if (must_wait(message) || !admits(message)) {
    exchange.flush();  // or this datagram could overtake collected ones to the same receiver
    return enqueue(message, false);
  }
  if (!batches_) return send_or_queue(message);
  const std::uint32_t process = process_generation();
  if (exchange.collector != this || exchange.collected_in != process ||
      !exchange.outgoing.fits(message.bytes.size())) {
    exchange.flush();
  }
  if (!exchange.outgoing.fits(message.bytes.size())) return send_or_queue(message);
  exchange.collector = this;
  exchange.collected_in = process;
  exchange.outgoing.add(message, segment_limit_);
  if (!exchange.in_batch) soon();
}

void Datagram::send_collected() {
  SendBatch& batch = exchange_->outgoing;
  exchange_->collector = nullptr;
  const bool mine = exchange_->collected_in == process_generation();
  for (unsigned i = 0; mine && i < batch.size();) {
    if (queue_ != nullptr) {
      send_one_by_one(i++);
      continue;
    }
    const int sent = batch.send(fd(), i, batch.size() - i);
    ++stats_.send_calls;
    for (int k = 0; k < sent; ++k) stats_.sent += batch.datagrams(i++);
    if (sent < 0) settle_failure(i++, -sent);
  }
  batch.clear();
}

// Handles the failure `number` of message `index`. Sends its datagrams once more, one by one, and
// so finds out whether the joining of datagrams was the reason.
void Datagram::settle_failure(unsigned index, int number) {
  const SendBatch& batch = exchange_->outgoing;
  const bool joined = batch.datagrams(index) > 1;
  const bool refused = joined && (number == EIO || number == EINVAL || number == EMSGSIZE);
  if (is_network_error(number) && !refused && !may_be_the_source(number, batch.message(index))) {
    note_error(number);  // an earlier datagram may have caused it
    return send_one_by_one(index, number);
  }
  const std::uint32_t before = source_refusals_;
  const std::uint64_t sent = stats_.sent;
  send_one_by_one(index);
  // Lower the limit only if the joining was the reason, and not the source or the receiver. Any
  // peer can cause a refusal, for example by sending from port 0, to which no reply can be sent.
  if (!refused || source_refusals_ != before || stats_.sent == sent) return;
  // EIO means that the network card can't cut joined datagrams apart (udp(7)), so none are joined
  // from now on. After any other error, a datagram of this size does not fit into one packet on
  // this path, and must be sent alone, as fragments.
  segment_limit_ = number == EIO ? 0 : batch.segment(index) - 1;
}

void Datagram::send_one_by_one(unsigned index, int noted) {
  const SendBatch& batch = exchange_->outgoing;
  OutgoingMessage message = batch.message(index);
  std::span<const std::byte> left = message.bytes;
  for (std::size_t n = batch.datagrams(index); n > 0; --n) {
    message.bytes = left.first(std::min(left.size(), batch.segment(index)));
    left = left.subspan(message.bytes.size());
    send_or_queue(message, noted);
  }
}

void Datagram::send_or_queue(const OutgoingMessage& message, int noted) {
  if (must_wait(message) || try_to_send(message, noted) == Fate::blocked) enqueue(message, true);
}

// `noted` is an error of the same message that was already passed to note_error(); 0: none.
Datagram::Fate Datagram::try_to_send(const OutgoingMessage& message, int noted) {
  ++stats_.send_calls;
  int number = send_datagram(fd(), message);
  if (may_be_the_source(number, message)) {
    ++source_refusals_;
    OutgoingMessage plain = message;
    plain.info = {};
    number = send_datagram(fd(), plain);
  } else if (is_network_error(number) && number != noted) {
    // An earlier datagram may have caused the error (udp(7)), so this one is sent again.
    note_error(noted = number);
    number = send_datagram(fd(), message);
  }
  if (number == 0) {
    ++stats_.sent;
    return Fate::sent;
  }
  if (is_full(number)) return Fate::blocked;
  if (number != noted) note_error(number);
  ++stats_.dropped;
  return Fate::lost;
}

bool Datagram::must_wait(const OutgoingMessage& message) const noexcept {
  return queue_ != nullptr && queue_->lines.contains(Queue::line_of(message));
}

bool Datagram::admits(const OutgoingMessage& message) {
  const std::string_view receiver = Queue::line_of(message);
  if (receiver.empty()) return true;
  if (shares_ == nullptr) shares_.reset(new (std::nothrow) SendShares(fd()));
  if (shares_ == nullptr) return true;
  return shares_->admits(receiver, message.bytes.size(), loop_->start_time());
}

// `charged` says whether admits() has charged the datagram to its receiver. A datagram must be
// charged only once, however often the kernel has no room for it.
void Datagram::enqueue(const OutgoingMessage& message, bool charged) {
  const std::string_view name = Queue::line_of(message);
  const std::size_t cost = QueuedDatagram::cost_of(message.bytes.size());
  const std::size_t found = queue_ == nullptr ? 0 : queue_->cost_of(name);
  if (queued() + cost > queue_limit_ || (!name.empty() && found + cost > receiver_limit_)) {
    ++stats_.dropped;
    return;
  }
  try {
    keep(message, charged);
  } catch (const std::bad_alloc&) {
    if (queue_ != nullptr && queue_->lines.empty()) queue_.reset();
    ++stats_.dropped;
    note_error(ENOMEM);
  }
}

void Datagram::keep(const OutgoingMessage& message, bool charged) {
  const std::string_view name = Queue::line_of(message);
  std::list<QueuedDatagram> one;
  one.emplace_back(message, charged);
  if (queue_ == nullptr) queue_ = std::make_unique<Queue>();
  DatagramLine& line = queue_->lines[std::string(name)];  // nothing throws from here on
  const bool first = line.datagrams.empty();
  line.datagrams.splice(line.datagrams.end(), one);
  const std::size_t cost = line.datagrams.back().cost();
  line.cost += cost;
  queue_->cost += cost;
  if (!first) return;
  if (name.empty()) return update_interest();
  const TimePoint now = loop_->start_time();
  line.retry_at = saturating_add(now, line.pause);
  line.gives_up_at = saturating_add(now, receiver_patience_);
  retry_at(line.retry_at);
}

void Datagram::send_queued() {
  if (queue_->awaits_own_buffer() && !writing_waits_) send_to_own_buffer();
  send_to_receivers(loop_->now());
  if (!queue_->lines.empty()) return;
  queue_.reset();
  drained_ = true;
  if (entry_ == nullptr) soon();
  update_interest();
}

void Datagram::send_to_own_buffer() {
  const auto line = queue_->lines.find("");
  const std::size_t before = queue_->cost;
  auto& datagrams = line->second.datagrams;
  while (!datagrams.empty() && try_to_send(datagrams.front().message()) != Fate::blocked) {
    queue_->drop_front(line->second);
  }
  if (datagrams.empty()) {
    queue_->lines.erase(line);
    return update_interest();
  }
  if (queue_->cost < before) return;
  // The poller reported room in the socket, but the kernel took no datagram. With ENOBUFS, the
  // queue of the network card is full, which no poller reports. So the timer tries again.
  writing_waits_ = true;
  retry_at(saturating_add(loop_->now(), kRetryDelay));
}

void Datagram::send_to_receivers(TimePoint now) {
  TimePoint soonest = TimePoint::max();
  for (auto each = queue_->lines.begin(); each != queue_->lines.end();) {
    DatagramLine& line = each->second;
    const bool is_receiver = !each->first.empty();
    if (is_receiver && line.retry_at <= now) retry(line, now);
    if (is_receiver && !line.datagrams.empty()) soonest = std::min(soonest, line.retry_at);
    each = line.datagrams.empty() ? queue_->lines.erase(each) : std::next(each);
  }
  if (soonest != TimePoint::max()) retry_at(soonest);
}

void Datagram::retry(DatagramLine& line, TimePoint now) {
  const std::size_t before = line.cost;
  while (!line.datagrams.empty()) {
    QueuedDatagram& front = line.datagrams.front();
    const OutgoingMessage message = front.message();
    if (!front.is_charged) front.is_charged = admits(message);
    if (!front.is_charged || try_to_send(message) == Fate::blocked) break;
    queue_->drop_front(line);
  }
  if (line.cost < before) {
    line.pause = kRetryDelay;
    line.gives_up_at = saturating_add(now, receiver_patience_);
  } else {
    line.pause = std::min(line.pause * 2, kLongestRetryDelay);
  }
  for (; now >= line.gives_up_at && !line.datagrams.empty(); ++stats_.dropped) {
    queue_->drop_front(line);
  }
  line.retry_at = std::min(saturating_add(now, line.pause), line.gives_up_at);
}

}  // namespace reactor
