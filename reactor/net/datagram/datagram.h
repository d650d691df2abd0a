// SPDX-License-Identifier: MIT
// Datagram is a message socket (UDP or unix) in a loop. DatagramHandler has its callbacks.
//
// If the system can, many datagrams are moved by one system call. Waiting datagrams are received
// together and delivered one by one. Datagrams that the handlers send meanwhile are collected, and
// leave together when all received datagrams have been delivered. Datagrams that are sent outside
// callbacks leave before the loop sleeps. All Datagrams of a loop share the buffers for this
// (DatagramExchange), so an idle socket has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/loop/loop.h"
#include "reactor/net/socket.h"
#include "reactor/net/socket_file.h"

namespace reactor {

class Datagram;
class DatagramExchange;
struct DatagramLine;
class SendShares;
struct OutgoingMessage;
struct ReceivedMessage;

// Message is a received datagram. It is valid until on_datagram() returns.
class Message {
 public:
  // Returns the content, which is yours to overwrite. It may be empty: an empty datagram is
  // delivered like any other, and does not mean that the peer has finished.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  // Returns whether the datagram was larger than DatagramOptions::max_size; the rest is lost.
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  // Returns whether control data that arrived with the datagram was dropped (recvmsg(2)
  // MSG_CTRUNC): descriptors, which were closed, or credentials of a unix peer. If an adopted
  // socket has more options than a Datagram sets, the packet info (the datagram's local address)
  // may be lost too, and local() may then be wrong.
  [[nodiscard]] bool control_truncated() const noexcept;
  // Returns the sender's address. A unix socket without a name can't be answered.
  [[nodiscard]] Address from() const noexcept;
  // Returns the address that the datagram was sent to, even if the socket is bound to a wildcard.
  // It may be a group or a broadcast address. On systems without IP_PKTINFO, returns the address to
  // which the socket is bound.
  [[nodiscard]] Address local() const noexcept;
  // Returns whether the datagram was sent to an address of this host, and not to a group or a
  // broadcast address. Returns false if the packet info was lost (control_truncated()). On systems
  // without IP_PKTINFO, a socket at a wildcard can't know, and this returns true.
  [[nodiscard]] bool unicast() const noexcept;

 private:
  friend class Datagram;
  Message(const Datagram& socket, const ReceivedMessage& received, std::span<std::byte> bytes,
          bool truncated) noexcept
      : socket_(&socket), received_(&received), bytes_(bytes), truncated_(truncated) {}

  const Datagram* socket_;
  const ReceivedMessage* received_;
  std::span<std::byte> bytes_;
  bool truncated_;
};

// DatagramHandler gets the callbacks of a Datagram. They may call any of the Datagram's functions,
// and may destroy it.
class DatagramHandler {
 public:
  virtual void on_datagram(Datagram& socket, const Message& message) = 0;

  // Called when all datagrams that were received together have been delivered.
  virtual void on_batch_end(Datagram& socket);

  // Called when the queue has become empty (see writable()).
  virtual void on_drain(Datagram& socket);

  // Reports an error after which the socket still works. Either the network has answered an earlier
  // datagram with it (connection_refused, host_unreachable, ...; usually on connected sockets only,
  // udp(7)), or a datagram could not be sent (message_size, permission_denied, ...). Several errors
  // of one batch make one call, with the first of them; DatagramStats counts them all. Never called
  // inside send(). Default: does nothing, because datagrams may get lost anyway.
  virtual void on_error(Datagram& socket, std::error_code error);

 protected:
  ~DatagramHandler() = default;
};

struct DatagramOptions {
  // The size of the largest datagram that is received whole, from 1 byte to 4 MiB. UDP allows
  // 65,507 bytes.
  std::size_t max_size = 64 * 1024;
  // The most bytes that are queued here while the kernel accepts no more. Each datagram counts 128
  // bytes more than its size. Datagrams beyond the limit are dropped and counted.
  std::size_t queue_limit = 1 << 20;
  // The same limit for each receiver of a unix socket that is not connected.
  std::size_t receiver_limit = 512 * 1024;
  // If a unix receiver takes no datagram for this long, the datagrams that are queued for it are
  // dropped and counted. Until then the Datagram tries to send them after 5 ms, 10 ms, and so on,
  // and at last every 320 ms, because no poller can tell when a receiver has room. kForever: they
  // are never dropped.
  Duration receiver_patience = std::chrono::seconds(5);
  // If false, each datagram takes one system call, and is sent inside send().
  bool batches = true;
  // With segmentation_offload, datagrams of one size to one receiver are passed to the kernel as
  // one piece, which the kernel or the network card cuts up (UDP_SEGMENT). With receive_offload,
  // the kernel joins received datagrams into one piece (UDP_GRO). Both happen only if the system
  // can. on_datagram() sees no difference.
  bool segmentation_offload = true;
  bool receive_offload = true;
  // Allows several sockets per address, over which the kernel spreads senders (SO_REUSEPORT).
  bool reuse_port = false;
  // Allows several sockets per address (SO_REUSEADDR). If a datagram is sent to a multicast group,
  // each of these sockets gets a copy.
  bool reuse_address = false;
  bool v6_only = false;    // false: a v6 wildcard takes v4 datagrams too (ipv6(7))
  bool broadcast = false;  // allows sending to broadcast addresses
  int unix_mode = -1;      // see ListenOptions::unix_mode
  // SO_RCVBUF and SO_SNDBUF in bytes; 0: the system's. Clipped by net.core.rmem_max, wmem_max.
  int receive_buffer = 0;
  int send_buffer = 0;
  // The address from which connect() sends. None: the system chooses.
  Address local;
};

// DatagramStats counts datagrams and calls since the socket was made.
struct DatagramStats {
  std::uint64_t received = 0, sent = 0;
  std::uint64_t truncated = 0;          // of the received ones
  std::uint64_t control_truncated = 0;  // of the received ones: Message::control_truncated()
  std::uint64_t dropped = 0;  // passed to send(), but refused by the kernel or a full queue
  std::uint64_t errors = 0;   // reported by the kernel
  std::uint64_t receive_calls = 0, send_calls = 0;
};

// A Datagram belongs to its loop's thread.
class Datagram final : private PollTarget {
 public:
  // If the poller can't report when there is room, the Datagram tries again to send after
  // kRetryDelay. Each further delay is twice as long as the one before, up to kLongestRetryDelay.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(5);
  static constexpr Duration kLongestRetryDelay = std::chrono::milliseconds(320);

  // Receives datagrams sent to `local`. A unix path that a dead server left behind is replaced. If
  // a server still uses the path, the error is address_in_use. The Datagram removes the file when
  // it is destroyed. `handler` must outlive the Datagram. Errors: those of socket(2), bind(2),
  // setsockopt(2), Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> bind(
      Loop& loop, const Address& local, DatagramHandler& handler,
      const DatagramOptions& options = {}, SourceLocation where = SourceLocation::current());

  // Sends to, and receives from, `peer` only. Datagrams that others sent to options.local before
  // the socket was connected are dropped. If no socket is bound to `peer`, on_error() reports
  // connection_refused. Sends from options.local if that is given. Otherwise the kernel gives a
  // unix socket a name (Linux), so that the peer can answer. Errors: those of bind() and of
  // connect(2).
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> connect(
      Loop& loop, const Address& peer, DatagramHandler& handler,
      const DatagramOptions& options = {}, SourceLocation where = SourceLocation::current());

  // Takes over an existing socket (from a master or a service manager), which becomes non-blocking
  // and close-on-exec. A connected socket receives from its peer only, as after connect(). Options
  // that apply only before bind(2) do nothing. If `remove_file` is true, the destructor removes the
  // socket's file, and so does this call if it fails. A file that no longer belongs to this socket
  // stays. Errors: not_a_socket; wrong_protocol_type if it is no datagram socket; those of
  // Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> adopt(
      Loop& loop, Socket socket, DatagramHandler& handler, const DatagramOptions& options = {},
      bool remove_file = false, SourceLocation where = SourceLocation::current());

  // Sends the collected datagrams and drops the queued ones, without a callback. In a forked child
  // it only closes the socket (G9).
  ~Datagram();
  Datagram(const Datagram&) = delete;
  Datagram& operator=(const Datagram&) = delete;

  // Sends one datagram, which may be empty, and copies it. on_error() reports errors. One of them
  // is not_enough_memory: the kernel takes no more, and there is no memory to queue the datagram,
  // which is then dropped and counted.
  void send(std::span<const std::byte> bytes);  // for connected sockets only
  void send(std::string_view text);
  // Sends to `to`. On a connected socket, this is the same as send() if `to` is the peer. Other
  // receivers work only if the system allows them.
  //
  // A unix socket that is not connected never gives all of its send buffer to one receiver. A
  // receiver that has not read earlier datagrams has to wait while others are served (SendShares).
  // So a receiver that never reads does not block the others, unless there are many such receivers.
  void send_to(std::span<const std::byte> bytes, const Address& to);
  void send_to(std::string_view text, const Address& to);
  // Sends from `from`, an address of this host. Ignores `from` unless the socket is bound to a
  // wildcard, a group or a broadcast address. To answer a message later, pass its Message::local().
  // If the system refuses `from`, the datagram leaves from an address that the system chooses.
  void send_to(std::span<const std::byte> bytes, const Address& to, const Address& from);
  // Sends to the sender of `message`, from the address that `message` was sent to.
  void reply(const Message& message, std::span<const std::byte> bytes);
  void reply(const Message& message, std::string_view text);

  // Sends the collected datagrams at once. Call it before a long computation.
  void flush();

  // Returns whether the queue is empty. While it is not, stop producing, and continue at
  // on_drain().
  [[nodiscard]] bool writable() const noexcept { return queue_ == nullptr; }
  // Returns the size of the queue, as DatagramOptions::queue_limit counts it.
  [[nodiscard]] std::size_t queued() const noexcept;

  // pause_reading() stops receiving, and resume_reading() starts it again. During a pause the
  // kernel's buffer fills, and then the kernel drops datagrams. Datagrams that were received
  // together with the current one are still delivered.
  void pause_reading();
  void resume_reading();

  // join() joins a multicast group, and leave() leaves it (ip(7), ipv6(7)). The interface is given
  // by its index (if_nametoindex(3); 0: the system chooses) or, for v4, by its address. If a v6
  // socket also sends to v4 groups, the settings below apply to those groups too (Linux). Errors:
  // Errc::not_supported for an address of a family that the call does not accept; those of
  // setsockopt(2): no_such_device, address_in_use if join() finds the socket a member already,
  // address_not_available if leave() finds it no member.
  Result<> join(const Address& group, unsigned interface = 0);
  Result<> join(const Address& group, const Address& interface);
  Result<> leave(const Address& group, unsigned interface = 0);
  Result<> leave(const Address& group, const Address& interface);
  // Sets the interface by which datagrams to groups are sent.
  Result<> set_multicast_interface(unsigned interface);
  Result<> set_multicast_interface(const Address& interface);
  // Sets whether datagrams to groups reach members on this host too. Default: yes.
  Result<> set_multicast_loop(bool on);
  // Sets the hop limit of datagrams to groups, 0..255: the number of routers that may forward them,
  // plus one. With 0 they stay on this host. Default: 1, no router. Errors: invalid_argument
  // outside this range.
  Result<> set_multicast_ttl(int hops);
  Result<> set_broadcast(bool on);

  // Returns the descriptor, for setting options. Options by which the kernel queues errors
  // (IP_RECVERR, SO_TIMESTAMPING) must be set before adopt().
  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  // Returns the address to which the socket is bound, with the real port if port 0 was asked for.
  [[nodiscard]] const Address& address() const noexcept { return address_; }
  // Returns the peer's address. Errors: not_connected.
  [[nodiscard]] Result<Address> peer() const { return socket_.peer(); }
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] const DatagramStats& stats() const noexcept { return stats_; }
  // segments() returns whether the kernel cuts up joined datagrams that we send; it becomes false
  // if the network card turns out not to support that. coalesces() returns whether the kernel joins
  // received datagrams.
  [[nodiscard]] bool segments() const noexcept { return segment_limit_ > 0; }
  [[nodiscard]] bool coalesces() const noexcept { return coalesces_; }

 private:
  // An Entry lives on the stack while callbacks run, and knows whether the Datagram survived them.
  class Entry {
   public:
    explicit Entry(Datagram& socket) noexcept : socket_(&socket) { socket.entry_ = this; }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() {
      if (!alive()) return;
      socket_->entry_ = nullptr;
      if (socket_->error_ || socket_->drained_) socket_->soon();  // left by an exception
    }
    [[nodiscard]] bool alive() const noexcept { return socket_ != nullptr; }
    void forget() noexcept { socket_ = nullptr; }

   private:
    Datagram* socket_;
  };
  struct Queue;

  friend class DatagramExchange;
  friend class Message;

  Datagram(Loop& loop, Socket socket, SocketFile file, DatagramHandler& handler, Address address,
           const DatagramOptions& options, SourceLocation where);
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> make(Loop& loop, Socket socket,
                                                              SocketFile file,
                                                              DatagramHandler& handler,
                                                              const DatagramOptions& options,
                                                              SourceLocation where);
  void on_ready(Ready ready) override;
  void on_expire() override;
  void on_call() override;
  [[nodiscard]] HandleInfo describe() const noexcept override;

  void receive_batch(Entry& entry);
  void deliver(Entry& entry);
  void deliver_one(const ReceivedMessage& received);
  void receive_failed(int number);
  void report(Entry& entry);

  [[nodiscard]] bool is_peer(const sockaddr* name, socklen_t size) const noexcept;
  [[nodiscard]] bool is_stranger(const ReceivedMessage& received) const noexcept;
  void send_named(OutgoingMessage message);
  void send(const OutgoingMessage& message);
  void send_collected();
  void settle_failure(unsigned index, int number);
  void send_one_by_one(unsigned index, int noted = 0);
  void send_or_queue(const OutgoingMessage& message, int noted = 0);
  enum class Fate : std::uint8_t { sent, blocked, lost };
  Fate try_to_send(const OutgoingMessage& message, int noted = 0);
  [[nodiscard]] bool must_wait(const OutgoingMessage& message) const noexcept;
  [[nodiscard]] bool admits(const OutgoingMessage& message);
  void enqueue(const OutgoingMessage& message, bool charged);
  void keep(const OutgoingMessage& message, bool charged);
  void send_queued();
  void send_to_own_buffer();
  void send_to_receivers(TimePoint now);
  void retry(DatagramLine& line, TimePoint now);

  void note_error(int number);
  void soon();                    // makes the loop call proceed() (Loop::call_soon())
  void retry_at(TimePoint time);  // makes the loop call proceed() at `time` or earlier
  void proceed();
  void update_interest();

  Loop* loop_;
  DatagramExchange* exchange_;
  DatagramHandler* handler_;
  Socket socket_;
  Address address_;
  Address peer_;  // none if not connected
  SocketFile file_;
  SourceLocation where_;
  DatagramStats stats_;
  std::unique_ptr<Queue> queue_;        // null while it is empty
  std::unique_ptr<SendShares> shares_;  // made by the first datagram to a named unix receiver
  Entry* entry_ = nullptr;
  std::error_code error_;  // to be reported by on_error()
  std::size_t max_size_;
  std::size_t queue_limit_, receiver_limit_;
  Duration receiver_patience_;
  std::size_t segment_limit_ = 0;      // datagrams up to this size may be joined
  std::uint32_t source_refusals_ = 0;  // how often the system refused `from`
  bool batches_;
  bool coalesces_ = false;
  bool tells_local_ = false;
  bool keeps_errors_ = false;
  bool paused_ = false;
  bool reading_waits_ = false;  // nothing is received until proceed()
  bool writing_waits_ = false;  // nothing is sent from the line "" until proceed()
  bool drained_ = false;        // on_drain() has to be called
};

}  // namespace reactor
