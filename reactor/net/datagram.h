// SPDX-License-Identifier: MIT
// Datagram: a socket of messages (UDP or unix) in a loop, and DatagramHandler, which is called
// back.
//
// Many datagrams move in one system call where the kernel has such a call: what waits is received
// together and handed over one by one, and what is sent meanwhile is collected and leaves together
// when the last one was handed over. What is sent from elsewhere leaves before the loop next
// sleeps. The room for this is the loop's: an idle socket has none.
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

// A datagram that came in. Valid until on_datagram() returns.
class Message {
 public:
  // May be empty: a datagram without content is one, and never an end. Writable for your own use.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  // It was larger than DatagramOptions::max_size; the rest is lost.
  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  // More came with it than its bytes, and was dropped: descriptors or credentials of a unix peer,
  // or (only on a socket that was adopted with more options than a Datagram sets) what the kernel
  // told of it, so that local() may be wrong. Descriptors were closed (recvmsg(2) MSG_CTRUNC).
  [[nodiscard]] bool control_truncated() const noexcept;
  // Who sent it; a unix socket without a name can't be answered.
  [[nodiscard]] Address from() const noexcept;
  // The address it was sent to, also where the socket is bound to a wildcard (but not on systems
  // without IP_PKTINFO); may be a group or a broadcast.
  [[nodiscard]] Address local() const noexcept;
  // Whether it was sent to an address of this host alone, and not to a group or a broadcast. False
  // if the system should have told and did not (control_truncated()). On systems without IP_PKTINFO
  // a socket at a wildcard can't know: true.
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

// Called back by a Datagram. Callbacks may call everything, and may destroy the Datagram.
class DatagramHandler {
 public:
  virtual void on_datagram(Datagram& socket, const Message& message) = 0;

  // All datagrams that were received together were handed over.
  virtual void on_batch_end(Datagram& socket);

  // The queue, which was not empty (writable()), is.
  virtual void on_drain(Datagram& socket);

  // The socket works on. What the network answered to an earlier datagram (connection_refused,
  // host_unreachable, ...; udp(7): connected sockets only, as a rule), or why one could not be sent
  // (message_size, permission_denied, ...). Several of one batch are one call with the first, and
  // DatagramStats counts them. Never called inside send(). Default: nothing; datagrams get lost.
  virtual void on_error(Datagram& socket, std::error_code error);

 protected:
  ~DatagramHandler() = default;
};

struct DatagramOptions {
  // Octets of the largest datagram that is received whole, 1 to 4 MiB. UDP's end at 65,507.
  std::size_t max_size = 64 * 1024;
  // Octets that are kept here while the kernel takes no more, with 128 on top for each datagram.
  // What comes beyond is dropped, and counted.
  std::size_t queue_limit = 1 << 20;
  // The same for a single receiver of a unix socket that is not connected.
  std::size_t receiver_limit = 512 * 1024;
  // If such a receiver takes nothing for so long, what is queued for it is dropped, and counted.
  // Until then it is asked again after 5 ms, 10 ms, and so on up to every 320 ms, as no poller can
  // tell when it has room. kForever: never dropped.
  Duration receiver_patience = std::chrono::seconds(5);
  // Off: a system call for each datagram, and each leaves inside send().
  bool batches = true;
  // Datagrams of one size to one receiver are cut up by the kernel or the card (UDP_SEGMENT), and
  // come in uncut (UDP_GRO), where they can; on_datagram() sees no difference.
  bool segmentation_offload = true;
  bool receive_offload = true;
  // Several sockets per address, the kernel spreads senders over them (SO_REUSEPORT).
  bool reuse_port = false;
  // Several sockets per address, each gets a copy of what is sent to a group (SO_REUSEADDR).
  bool reuse_address = false;
  bool v6_only = false;    // off: a v6 wildcard takes v4 datagrams too (ipv6(7))
  bool broadcast = false;  // may send to broadcast addresses
  int unix_mode = -1;      // as ListenOptions
  // SO_RCVBUF and SO_SNDBUF in octets; 0: the system's. Clipped by net.core.rmem_max, wmem_max.
  int receive_buffer = 0;
  int send_buffer = 0;
  // For connect(): where to send from; none lets the system choose.
  Address local;
};

// Counts since the socket was made.
struct DatagramStats {
  std::uint64_t received = 0, sent = 0;
  std::uint64_t truncated = 0;          // of those received
  std::uint64_t control_truncated = 0;  // likewise: Message::control_truncated()
  std::uint64_t dropped = 0;  // given to send(), but refused by the kernel or by a full queue
  std::uint64_t errors = 0;   // that the kernel reported
  std::uint64_t receive_calls = 0, send_calls = 0;
};

// Belongs to its loop's thread.
class Datagram final : private PollTarget, private TimerNode {
 public:
  // First delay before the kernel is asked again, if it can't report room; and the longest delay,
  // up to which the first one doubles.
  static constexpr Duration kRetryDelay = std::chrono::milliseconds(5);
  static constexpr Duration kLongestRetryDelay = std::chrono::milliseconds(320);

  // Receives what is sent to `local`. A unix path that a dead server left behind is replaced, one
  // that is alive is address_in_use; the file goes with the Datagram. `handler` outlives it.
  // Errors: those of socket(2), bind(2), setsockopt(2), Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> bind(
      Loop& loop, const Address& local, DatagramHandler& handler,
      const DatagramOptions& options = {}, SourceLocation where = SourceLocation::current());

  // Sends to, and receives from, `peer` only: what others sent to options.local before it was
  // connected is dropped. on_error() tells when the peer is not there. From options.local where
  // that is given; else a unix socket gets a name of the kernel's (Linux), so that it can be
  // answered. Errors: as bind(), those of connect(2).
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> connect(
      Loop& loop, const Address& peer, DatagramHandler& handler,
      const DatagramOptions& options = {}, SourceLocation where = SourceLocation::current());

  // Takes a socket that is there already (of a master, of a service manager), which becomes
  // non-blocking and close-on-exec. One that is connected hears its peer only, as by connect(). Of
  // the options those for bind(2) do nothing. `remove_file`: unlink its file at the end, if it is
  // still this one's. Errors: not_a_socket; wrong_protocol_type where it is no datagram socket;
  // those of Loop::attach().
  [[nodiscard]] static Result<std::unique_ptr<Datagram>> adopt(
      Loop& loop, Socket socket, DatagramHandler& handler, const DatagramOptions& options = {},
      bool remove_file = false, SourceLocation where = SourceLocation::current());

  // What is collected leaves now, what is queued is dropped; no callback. In a forked child it only
  // closes (G9).
  ~Datagram();
  Datagram(const Datagram&) = delete;
  Datagram& operator=(const Datagram&) = delete;

  // A unix socket that is not connected gives no receiver all of its buffer: one that has not read
  // what it got before has to wait while others are served (SendShares). A receiver that never
  // reads therefore silences nobody else, unless many work together.
  //
  // Sends one datagram, which is copied; nothing to send is a datagram as well. What goes wrong is
  // told by on_error(). While the kernel takes no more, that includes want of memory to keep the
  // datagram, which is dropped then, and counted (not_enough_memory).
  void send(std::span<const std::byte> bytes);  // connected ones only
  void send(std::string_view text);
  // On a connected one: to its peer, that is send(), and to others where the system allows it.
  void send_to(std::span<const std::byte> bytes, const Address& to);
  void send_to(std::string_view text, const Address& to);
  // From `from`, an address of this host (a Message's local(), for an answer that comes later),
  // where the socket is bound to a wildcard. Where the system refuses that, it chooses one itself.
  void send_to(std::span<const std::byte> bytes, const Address& to, const Address& from);
  // To who sent `message`, from the address that it was sent to.
  void reply(const Message& message, std::span<const std::byte> bytes);
  void reply(const Message& message, std::string_view text);

  // Sends what is collected at once: before a long computation.
  void flush();

  // Nothing is queued. Stop producing while it is not so, go on at on_drain().
  [[nodiscard]] bool writable() const noexcept { return queue_ == nullptr; }
  // Octets that the kernel did not take yet.
  [[nodiscard]] std::size_t queued() const noexcept;

  // Stops and goes on receiving; meanwhile the kernel's buffer fills, and then drops. Datagrams
  // that were received together with the present one are still handed over.
  void pause_reading();
  void resume_reading();

  // Multicast (ip(7), ipv6(7)). The interface is an index (if_nametoindex(3)), 0 lets the system
  // choose; or for v4 its address. What is set holds for v4 groups as well where the socket is a v6
  // one that sends to them (Linux). Errors: Errc::not_supported where a v6 or unix address is given
  // in place of one that it takes; those of setsockopt(2): no_such_device, address_in_use where it
  // is a member already, address_not_available where it is none.
  Result<> join(const Address& group, unsigned interface = 0);
  Result<> join(const Address& group, const Address& interface);
  Result<> leave(const Address& group, unsigned interface = 0);
  Result<> leave(const Address& group, const Address& interface);
  // What is sent to groups leaves by this interface.
  Result<> set_multicast_interface(unsigned interface);
  Result<> set_multicast_interface(const Address& interface);
  // Whether what is sent to groups comes to members on this host, too. The default is yes.
  Result<> set_multicast_loop(bool on);
  // How many routers may pass on what is sent to groups, and one: 0..255, where 0 stays on this
  // host. The default is 1: none. Errors: invalid_argument beyond that.
  Result<> set_multicast_ttl(int hops);
  Result<> set_broadcast(bool on);

  // For options of the socket; those by which the kernel queues errors (IP_RECVERR,
  // SO_TIMESTAMPING) are to be set before adopt().
  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  // Where it is bound: with the real port where 0 was asked for.
  [[nodiscard]] const Address& address() const noexcept { return address_; }
  // Errors: not_connected.
  [[nodiscard]] Result<Address> peer() const { return socket_.peer(); }
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] const DatagramStats& stats() const noexcept { return stats_; }
  // Whether the kernel joins and cuts datagrams for this socket; sending stops to be so where the
  // network card can't.
  [[nodiscard]] bool segments() const noexcept { return segment_limit_ > 0; }
  [[nodiscard]] bool coalesces() const noexcept { return coalesces_; }

 private:
  // Put on the stack where callbacks run: tells whether the Datagram survived them.
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

  Datagram(Loop& loop, Socket socket, DatagramHandler& handler, Address address,
           const DatagramOptions& options, SourceLocation where);
  void on_ready(Ready ready) override;
  void on_expire() override;
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
  void enqueue(const OutgoingMessage& message);
  void keep(const OutgoingMessage& message);
  void send_queued();
  void send_to_own_buffer();
  void send_to_receivers(TimePoint now);
  void retry(DatagramLine& line, TimePoint now);

  void note_error(int number);
  void soon();  // on_expire() comes in this turn
  void retry_at(TimePoint time);
  void expire_at(TimePoint time);  // or earlier
  void update_interest();

  Loop* loop_;
  DatagramExchange* exchange_;
  DatagramHandler* handler_;
  Socket socket_;
  Address address_;
  Address peer_;  // none where it is not connected
  SocketFile file_;
  SourceLocation where_;
  DatagramStats stats_;
  std::unique_ptr<Queue> queue_;        // only while it is not empty
  std::unique_ptr<SendShares> shares_;  // made by the first datagram to a unix receiver by its name
  Entry* entry_ = nullptr;
  std::error_code error_;  // to be reported
  std::size_t max_size_;
  std::size_t queue_limit_, receiver_limit_;
  Duration receiver_patience_;
  std::size_t segment_limit_ = 0;      // datagrams up to this size may be joined
  std::uint32_t source_refusals_ = 0;  // times that `from` was one to which the system said no
  bool batches_;
  bool coalesces_ = false;
  bool tells_local_ = false;
  bool keeps_errors_ = false;
  bool paused_ = false;
  bool reading_waits_ = false;  // for the timer; likewise
  bool writing_waits_ = false;
  bool drained_ = false;  // to be reported
};

}  // namespace reactor
