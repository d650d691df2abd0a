// SPDX-License-Identifier: MIT
// A connection starts with a handler of its own, FirstWord. When the client has sent something, the
// connection changes to the handler Echo or Answer, which all connections share. Datagrams go to
// DatagramEcho.
#include "servers/echo.h"

#include <memory>
#include <string>
#include <vector>

#include "reactor/base/log.h"
#include "reactor/net/datagram/datagram.h"
#include "reactor/net/datagram/reflection_guard.h"
#include "reactor/net/server.h"
#include "servers/reload.h"
#include "servers/reply.h"

namespace servers {
namespace {

// The time that a draining server waits for the first data of a client that has sent nothing yet,
// because the data may be on its way.
constexpr reactor::Duration kFirstWord = std::chrono::seconds(1);

// The size of one read, which also limits the queue for a client that does not read its echo: no
// more is read while a byte is queued. It is smaller with TLS, because OpenSSL adds its own buffers
// for a record.
constexpr std::size_t kPlainRead = 32 * 1024;
constexpr std::size_t kTlsRead = 16 * 1024;

constexpr int kLastTurns = 1000;  // turns of the loop for the last datagrams

// These handlers have no state. So a connection may move to another worker at any time: data that
// was not echoed yet is in the kernel or in the write queue, and no Stream moves while its queue
// holds anything.
class Handler : public reactor::StreamHandler {
 public:
  // `input` must outlive the handler.
  explicit Handler(std::span<std::byte> input) noexcept : input_(input) {}

 private:
  std::span<std::byte> read_buffer(reactor::Stream&) final { return input_; }
  void on_timeout(reactor::Stream& stream) override { stream.close(); }
  reactor::HandOver on_hand_over(reactor::Stream&, std::vector<std::byte>&) override {
    return reactor::HandOver::now;
  }

  const std::span<std::byte> input_;
};

// Serves all connections that have sent something, with --reply raw.
class Echo final : public Handler {
 public:
  using Handler::Handler;

 private:
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write_now(bytes);
  }
};

// Serves all connections that have sent something, with --reply pid or time.
class Answer final : public Handler {
 public:
  Answer(std::span<std::byte> input, Reply reply) noexcept : Handler(input), reply_(reply) {}

 private:
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    const std::string text = to_reply(reply_, bytes);
    stream.write(std::as_bytes(std::span(text)));
  }

  const Reply reply_;
};

// Serves a connection that has sent nothing yet.
class FirstWord final : public Handler {
 public:
  struct Context {
    std::span<std::byte> input;
    reactor::StreamHandler& echo;
  };
  explicit FirstWord(Context& context) noexcept : Handler(context.input), echo_(context.echo) {}

  // Returns the handler for a connection from another worker, whose client had already sent
  // something there.
  [[nodiscard]] reactor::StreamHandler* adopting_handler() noexcept { return &echo_; }

 private:
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    echo_.on_data(stream, bytes);
    stream.set_handler(echo_);
    if (stream.asked_to_end()) stream.close();
  }
  void on_shutdown(reactor::Stream& stream) override {
    stream.set_deadline(reactor::saturating_add(stream.loop().now(), kFirstWord));
  }

  reactor::StreamHandler& echo_;
};

// Logs at intervals how many datagrams got no answer, and why, because their senders get no
// message.
class Unanswered {
 public:
  void note(const reactor::Message& message, std::string_view why, reactor::TimePoint now) {
    ++count_;
    if (now < next_line_) return;
    next_line_ = reactor::saturating_add(now, kBetweenLines);
    REACTOR_LOG(warn, "no answer to a datagram from " + message.from().to_string() + ": " +
                          std::string(why) + "; " + std::to_string(count_) +
                          " not answered so far; see --udp-rate and --udp-low-ports");
  }

 private:
  static constexpr reactor::Duration kBetweenLines = std::chrono::minutes(1);

  std::uint64_t count_ = 0;
  reactor::TimePoint next_line_{};
};

class DatagramEcho final : public reactor::DatagramHandler {
 public:
  DatagramEcho(Reply reply, const reactor::ReflectionLimits& limits,
               std::vector<reactor::Address> own)
      : reply_(reply), guard_(limits, std::move(own)) {}

 private:
  using Verdict = reactor::ReflectionGuard::Verdict;

  void on_datagram(reactor::Datagram& socket, const reactor::Message& message) override {
    const reactor::TimePoint now = socket.loop().now();
    const Verdict verdict = guard_.judge(message, now);
    if (verdict != Verdict::answer) return unanswered_.note(message, to_string(verdict), now);
    // The client would mistake the echo of a truncated datagram for the whole datagram.
    if (message.truncated())
      return unanswered_.note(message, "it is longer than 65,536 bytes", now);
    if (reply_ == Reply::raw) {
      socket.reply(message, message.bytes());
    } else {
      socket.reply(message, to_reply(reply_, message.bytes()));
    }
  }

  const Reply reply_;
  reactor::ReflectionGuard guard_;
  Unanswered unanswered_;
};

using Datagrams = std::vector<std::unique_ptr<reactor::Datagram>>;

// Returns the workers' own addresses. A datagram from one of these addresses is a worker's answer,
// which must not be answered.
std::vector<reactor::Address> addresses_of(std::span<const reactor::Socket> sockets) {
  std::vector<reactor::Address> addresses;
  for (const reactor::Socket& socket : sockets) {
    if (const auto address = socket.local()) addresses.push_back(*address);
  }
  return addresses;
}

// Limits the answers that are queued for a client of unix datagrams that does not read, and drops
// them after a second. So that client can't hold up the others.
reactor::DatagramOptions datagram_options() {
  reactor::DatagramOptions options;
  options.send_buffer = 1 << 20;
  options.receiver_limit = 128 * 1024;
  options.receiver_patience = std::chrono::seconds(1);
  return options;
}

Datagrams adopt_datagrams(reactor::Loop& loop, std::vector<reactor::Socket> sockets,
                          DatagramEcho& echo) {
  Datagrams datagrams;
  for (reactor::Socket& socket : sockets) {
    datagrams.push_back(
        reactor::Datagram::adopt(loop, std::move(socket), echo, datagram_options()).value());
  }
  return datagrams;
}

std::uint64_t received(const Datagrams& datagrams) {
  std::uint64_t sum = 0;
  for (const auto& socket : datagrams) sum += socket->stats().received;
  return sum;
}

// Answers the datagrams that arrived before the worker's end. Gives up after kLastTurns, so that
// clients that go on sending don't keep the worker alive.
void answer_rest(reactor::Loop& loop, const Datagrams& datagrams) {
  std::uint64_t before = 0;
  for (int turn = 0; turn < kLastTurns; ++turn) {
    before = received(datagrams);
    if (!loop.poll() || received(datagrams) == before) return;
  }
}

}  // namespace

int serve_echo(reactor::prefork::Worker& worker, const Service& service) {
  reactor::ServerLimits limits;
  limits.max_connections = service.max_connections;
  limits.proxy = service.proxy;
  const auto transports = make_transports(service.tls, {});
  limits.transports = transports.get();
  limits.stream.high_water = 1;
  limits.stream.low_water = 0;
  limits.stream.idle_timeout = service.idle_timeout;
  const std::span<std::byte> input =
      worker.loop().scratch().first(service.tls.on() ? kTlsRead : kPlainRead);
  Echo echo(input);
  Answer answer(input, service.reply);
  FirstWord::Context context{
      input, service.reply == Reply::raw ? static_cast<reactor::StreamHandler&>(echo) : answer};
  auto server = reactor::Server<FirstWord>::adopt(worker.loop(), worker.listeners(),
                                                  std::move(limits), context)
                    .value();
  std::vector<reactor::Socket> sockets = worker.datagrams();
  DatagramEcho datagram_echo(service.reply, service.udp, addresses_of(sockets));
  const Datagrams datagrams = adopt_datagrams(worker.loop(), std::move(sockets), datagram_echo);
  follow_reloads(worker, service, transports.get());
  const int status = worker.serve(*server);
  if (!datagrams.empty()) answer_rest(worker.loop(), datagrams);
  return status;
}

}  // namespace servers
